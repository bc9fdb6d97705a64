//! Servers for tests: `avtomatika dev`, and one that answers as a test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use testkit::Process;

use crate::program::{Printed, command, printed, watched};

/// A development server with free ports, and what it says about itself.
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) banner: Value,
}

impl Dev {
    /// Starts it with these arguments and variables.
    pub(crate) async fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let all = [&["dev", "--json", "--port", "0", "--s3-port", "0"], args].concat();
        let process = watched(&all).envs(variables.iter().copied()).start();
        let banner = process.wait_for_line("{\"url\":").await;
        Self { process, banner: serde_json::from_str(&banner).expect("JSON") }
    }

    pub(crate) fn url(&self) -> &str {
        self.banner["url"].as_str().expect("an address")
    }

    /// Runs a command of the client.
    pub(crate) fn run(&self, args: &[&str]) -> Printed {
        run_at(self.url(), args)
    }
}

/// Runs a command of the client against a server.
pub(crate) fn run_at(url: &str, args: &[&str]) -> Printed {
    let mut command = command(args);
    // A command never goes through a proxy to its own machine.
    command.env("AVTOMATIKA_URL", url).env("http_proxy", "http://127.0.0.1:1");
    printed(&command.output().expect("started"))
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server that answers as a test says, and 404 to everything else.
pub(crate) struct Scripted {
    url: String,
    shared: Arc<Shared>,
    _serving: tokio::task::JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// The answers to a method and path; the last one of several is repeated.
    answers: Mutex<HashMap<String, Vec<Scene>>>,
    requests: Mutex<Vec<Recorded>>,
}

#[derive(Clone)]
struct Scene {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, shared, _serving: serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Answers a request like `GET /api/skills`. Given again, the answers are used one after the other.
    pub(crate) fn on(&self, request: &str, status: u16, body: &str) -> &Self {
        self.add(request, Scene { status, kind: "application/json", body: body.to_owned() })
    }

    /// Answers with a stream of events that ends.
    pub(crate) fn on_events(&self, request: &str, body: &str) -> &Self {
        self.add(request, Scene { status: 200, kind: "text/event-stream", body: body.to_owned() })
    }

    /// Answers with something that is not JSON.
    pub(crate) fn on_html(&self, request: &str, status: u16) -> &Self {
        self.add(request, Scene { status, kind: "text/html", body: "<html>hello</html>".to_owned() })
    }

    fn add(&self, request: &str, scene: Scene) -> &Self {
        self.shared.answers.lock().expect("no panic").entry(request.to_owned()).or_default().push(scene);
        self
    }

    /// Returns the requests that arrived, with this method and beginning of the path.
    pub(crate) fn requests(&self, request: &str) -> Vec<Recorded> {
        let all = self.shared.requests.lock().expect("no panic").clone();
        all.into_iter().filter(|one| format!("{} {}", one.method, one.path).starts_with(request)).collect()
    }

    /// Runs a command of the client on another thread, since this one serves.
    pub(crate) async fn run(&self, args: &[&str]) -> Printed {
        self.run_with(args, &[], None).await
    }

    pub(crate) async fn run_with(
        &self,
        args: &[&str],
        variables: &[(&str, &str)],
        stdin: Option<&str>,
    ) -> Printed {
        let mut command = tokio::process::Command::from(command(args));
        command.env("AVTOMATIKA_URL", &self.url).envs(variables.iter().copied());
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut pipe = child.stdin.take().expect("a pipe");
        let text = stdin.unwrap_or_default().to_owned();
        // The program may end without reading.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut pipe, text.as_bytes()).await;
        drop(pipe);
        printed(&child.wait_with_output().await.expect("an end"))
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let key = format!("{} {path}", head.method);
    let body = to_bytes(body, 1 << 30).await.unwrap_or_default();
    let recorded = Recorded { method: head.method, path, headers: head.headers, body };
    shared.requests.lock().expect("no panic").push(recorded);
    let mut answers = shared.answers.lock().expect("no panic");
    let scene = answers.get_mut(&key).map(|scenes| match scenes.len() {
        1 => scenes[0].clone(),
        _ => scenes.remove(0),
    });
    let missing =
        Scene { status: 404, kind: "application/json", body: format!("{{\"error\": \"nothing at {key}\"}}") };
    let Scene { status, kind, body } = scene.unwrap_or(missing);
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}
