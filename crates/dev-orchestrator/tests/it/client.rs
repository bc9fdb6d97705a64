//! A minimal client, which can disconnect at any moment.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use avtomatika_dev::DevOrchestrator;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use testkit::PATIENCE;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.status, self.body))
    }

    /// Returns the text of an error with this status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self.json()["error"].as_str().expect("a text").to_owned()
    }
}

/// Sends one request on a new connection, which is closed when the future is dropped.
pub(crate) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    let answer = async {
        let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("in time")
}

pub(crate) fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).expect("a request")
}

/// Sends `GET` like a person with `curl`.
pub(crate) async fn get(orchestrator: &DevOrchestrator, path: &str) -> Answer {
    let address = orchestrator.address();
    send(address, request(address, Method::GET, path, &[], "")).await
}

pub(crate) async fn post(orchestrator: &DevOrchestrator, path: &str, body: &str) -> Answer {
    let (address, json) = (orchestrator.address(), [("content-type", "application/json")]);
    send(address, request(address, Method::POST, path, &json, body.to_owned())).await
}

/// Submits a task in JSON, and returns its job id.
pub(crate) async fn submit(orchestrator: &DevOrchestrator, task: &str) -> String {
    let answer = post(orchestrator, "/api/tasks", task).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    answer.json()["job_id"].as_str().expect("a text").to_owned()
}

pub(crate) async fn put(orchestrator: &DevOrchestrator, path: &str, body: &Value) -> Answer {
    let (address, json) = (orchestrator.address(), [("content-type", "application/json")]);
    send(address, request(address, Method::PUT, path, &json, body.to_string())).await
}

/// The bytes of an answer, and the way the connection ended.
#[derive(Debug)]
pub(crate) struct Bytewise {
    pub(crate) bytes: String,
    /// `None` if the other side closed the connection, instead of resetting it.
    pub(crate) error: Option<std::io::ErrorKind>,
}

impl Bytewise {
    /// Whether the connection was reset before a byte of the answer.
    pub(crate) fn is_reset(&self) -> bool {
        self.bytes.is_empty() && self.error == Some(std::io::ErrorKind::ConnectionReset)
    }
}

/// Writes bytes on a new connection, and reads until its end.
pub(crate) async fn bytewise(address: SocketAddr, bytes: &str) -> Bytewise {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(bytes.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let ended = in_time(stream.read_to_end(&mut answer)).await;
    let bytes = String::from_utf8(answer).expect("UTF-8");
    Bytewise { bytes, error: ended.err().map(|error| error.kind()) }
}

/// The worker side of the protocol, request by request.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Worker {
    pub(crate) fn new(orchestrator: &DevOrchestrator, id: &str) -> Self {
        Self { address: orchestrator.address(), id: id.to_owned(), token: "secret".to_owned() }
    }

    /// Returns a worker that has registered these tasks.
    pub(crate) async fn registered(orchestrator: &DevOrchestrator, id: &str, tasks: &[&str]) -> Self {
        let worker = Self::new(orchestrator, id);
        let answer =
            worker.post("workers/register", &json!({"worker_id": id, "supported_tasks": tasks})).await;
        assert_eq!(answer.json(), json!({"status": "registered", "version": "1.0b17"}));
        worker
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("x-worker-token", self.token.as_str()), ("x-worker-id", &self.id)];
        let path = format!("/_worker/{path}");
        send(self.address, request(self.address, method, &path, &headers, body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn beat(&self, body: &Value) -> Value {
        let answer = self.send(Method::PATCH, &format!("workers/{}", self.id), body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn poll_for(&self, seconds: &str) -> Answer {
        let path = format!("workers/{}/tasks/next?timeout={seconds}", self.id);
        self.send(Method::GET, &path, "").await
    }

    /// Polls for the next task, for as long as the orchestrator holds the poll.
    pub(crate) async fn task(&self) -> Value {
        let answer = self.send(Method::GET, &format!("workers/{}/tasks/next", self.id), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn result(&self, task: &Value, result: Value) -> Value {
        let mut body = json!({"job_id": task["job_id"], "task_id": task["task_id"], "worker_id": self.id});
        let Value::Object(fields) = result else { panic!("an object") };
        body.as_object_mut().expect("an object").extend(fields);
        let answer = self.post("tasks/result", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    /// Runs the next task to its end with this result.
    pub(crate) async fn run(&self, result: Value) -> Value {
        let task = self.task().await;
        assert_eq!(self.result(&task, result).await["status"], "accepted");
        task
    }

    /// Returns the bytes of a request.
    pub(crate) fn bytes(&self, method: &str, path: &str, body: &str) -> String {
        let Self { address, id, token } = self;
        let length = body.len();
        format!(
            "{method} /_worker/{path} HTTP/1.1\r\nhost: {address}\r\nx-worker-token: {token}\r\nx-worker-id: {id}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }

    /// Sends a request on a connection of its own, and returns all that comes.
    pub(crate) async fn bytewise(&self, method: &str, path: &str, body: &str) -> Bytewise {
        bytewise(self.address, &self.bytes(method, path, body)).await
    }

    /// Returns the body of a result.
    pub(crate) fn success(&self, task: &Value) -> String {
        json!({
            "job_id": task["job_id"], "task_id": task["task_id"], "worker_id": self.id, "status": "success",
        })
        .to_string()
    }

    /// Writes the head of a poll, and returns the connection.
    pub(crate) async fn open_poll(&self) -> TcpStream {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let head = format!(
            "GET /_worker/workers/{}/tasks/next HTTP/1.1\r\nhost: {}\r\nx-worker-token: {}\r\n\r\n",
            self.id, self.address, self.token
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        stream
    }
}

/// Checks a condition repeatedly until it holds, for changes without a signal.
pub(crate) async fn eventually(mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
}

pub(crate) async fn in_time<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time")
}

/// Returns the number of held polls of all workers.
pub(crate) fn open_polls(orchestrator: &DevOrchestrator) -> usize {
    orchestrator.workers().iter().map(|worker| worker.open_polls).sum()
}
