//! The client of a server's HTTP interface.

mod address;
mod answer;
mod body;
mod events;
mod ids;
mod views;

use std::time::Duration;

use anyhow::{Context, anyhow};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use rxon::transport::http::{AnswerBody, ClientSettings, HttpClient, OrchestratorUrl, Proxies, TlsSettings};
use rxon::{Error, ErrorChain, ErrorKind};
use tokio::fs::File;
use tokio::time::timeout;

use self::address::Address;
pub(crate) use self::answer::Answer;
use self::body::Body;
pub(crate) use self::events::{Event, Events};
pub(crate) use self::ids::{encoded, resolve};
pub(crate) use self::views::{
    ErrorView, JobView, LogLine, LogPage, Skill, SkillList, StepView, Submitted, TaskList, TaskView, TryView,
    WorkerList,
};
use crate::args::Global;
use crate::exit::Failure;

/// The time in which a server has to begin its answer, and the longest silence within one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest silence of a stream of events: it has a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 256 << 20;

const CLIENT_TOKEN: HeaderName = HeaderName::from_static("x-client-token");

const USER_AGENT: &str = concat!("avtomatika/", env!("CARGO_PKG_VERSION"));

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    address: Address,
    http: HttpClient<Body>,
    /// For answers that go on for as long as they are read.
    streams: HttpClient<Body>,
    token: Option<HeaderValue>,
}

impl Client {
    /// Makes a client of the server in the options or the environment. It connects when it is used.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let address = Address::choose(global.server.as_deref(), variable)?;
        let proxies = if address.is_loopback() {
            // A proxy is another machine, or at least another program: it would not reach this one.
            Proxies::default()
        } else {
            Proxies::read(variable).map_err(|problems| {
                let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>();
                Failure::usage(anyhow!(problems.join("; ")))
            })?
        };
        let client = |standstill_limit| {
            let tls = TlsSettings { ca_path: certificates(), and_system: true, ..TlsSettings::default() };
            let proxies = proxies.clone();
            let settings = ClientSettings {
                tls,
                proxies,
                user_agent: USER_AGENT,
                standstill_limit,
                on_unusable_files: None,
            };
            HttpClient::new(settings).map_err(Failure::usage)
        };
        Ok(Self { address, http: client(PATIENCE)?, streams: client(SILENCE)?, token: None })
    }

    /// Sends a token with each request.
    pub(crate) fn with_token(mut self, option: Option<&str>) -> Result<Self, Failure> {
        let variable = std::env::var("AVTOMATIKA_CLIENT_TOKEN").ok();
        let token = option.map(str::to_owned).or(variable).filter(|token| !token.is_empty());
        let value = token.map(|token| HeaderValue::from_str(&token)).transpose();
        let value = value.map_err(|_| {
            Failure::usage(anyhow!("the client token has control characters, expected visible ones"))
        })?;
        self.token = value.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Ok(self)
    }

    /// Whether a token for a real orchestrator is sent.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> &OrchestratorUrl {
        self.address.url()
    }

    /// Requests a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        let request = self.request(Method::GET, path, Body::from(String::new()))?;
        self.exchange(path, request).await
    }

    /// Sends JSON to a path.
    pub(crate) async fn post(&self, path: &str, body: String) -> Result<Answer, Failure> {
        let mut request = self.request(Method::POST, path, Body::from(body))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.exchange(path, request).await
    }

    /// Stores a file of this size under a path.
    pub(crate) async fn put(&self, path: &str, file: File, size: u64) -> Result<Answer, Failure> {
        let mut request = self.request(Method::PUT, path, Body::of_file(file, size))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        self.exchange(path, request).await
    }

    /// Opens a stream of events; after the event with this id, if there is one.
    pub(crate) async fn events(&self, path: &str, after: Option<&str>) -> Result<Events, Failure> {
        let mut request = self.request(Method::GET, path, Body::from(String::new()))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(Ok(id)) = after.map(HeaderValue::from_str) {
            request.headers_mut().insert(HeaderName::from_static("last-event-id"), id);
        }
        let response = self.send(&self.streams, request).await?;
        if response.status().is_success() {
            return Ok(Events::new(response.into_body()));
        }
        Err(self.whole(path, response).await?.failure())
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Body>, Failure> {
        let url = self.address.url();
        let mut request = Request::builder().method(method).uri(format!("{url}{path}"));
        if let Some(token) = &self.token {
            request = request.header(CLIENT_TOKEN, token);
        }
        if let Some(credentials) = url.basic_credentials() {
            request = request.header(AUTHORIZATION, credentials);
        }
        Ok(request.body(body).with_context(|| format!("cannot request `{path}`"))?)
    }

    async fn exchange(&self, path: &str, request: Request<Body>) -> Result<Answer, Failure> {
        let response = self.send(&self.http, request).await?;
        self.whole(path, response).await
    }

    async fn send(
        &self,
        http: &HttpClient<Body>,
        request: Request<Body>,
    ) -> Result<Response<AnswerBody<Body>>, Failure> {
        // The time of an upload depends on its size, and is limited by its standstill.
        let is_upload = request.method() == Method::PUT;
        let sending = http.send(request);
        let sent = if is_upload { Ok(sending.await) } else { timeout(PATIENCE, sending).await };
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&Error::new(ErrorKind::Timeout, "5 s"))),
        }
    }

    async fn whole(&self, path: &str, response: Response<AnswerBody<Body>>) -> Result<Answer, Failure> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| {
            Failure::unavailable(anyhow!("{}: the answer was cut: {error}", self.address.url()))
        })?;
        Ok(Answer::new(head.status, body.to_bytes(), self.address.url().to_string(), path))
    }

    fn unreachable(&self, error: &Error) -> Failure {
        let text = format!("no server at {}: {}", self.address.url(), ErrorChain(error));
        let failure = Failure::unavailable(anyhow!(text));
        failure.with_hint(
            "start a development server with `avtomatika dev`, or name another with `--server URL`",
        )
    }
}

/// Returns the file of the trusted certificates, as a worker has it.
fn certificates() -> Option<std::path::PathBuf> {
    std::env::var_os("TLS_CA_PATH").filter(|path| !path.is_empty()).map(Into::into)
}
