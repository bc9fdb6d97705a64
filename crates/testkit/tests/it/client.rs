//! An HTTP client without any cleverness, so that every byte is seen.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use testkit::ScriptedOrchestrator;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn of(orchestrator: &ScriptedOrchestrator) -> Self {
        Self::connect(orchestrator.addr()).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn register(&mut self, worker: &str) -> Response {
        let body = serde_json::json!({ "worker_id": worker }).to_string();
        self.post("/_worker/workers/register", &body).await
    }

    pub(crate) async fn heartbeat(&mut self, worker: &str, body: &str) -> Response {
        self.request("PATCH", &format!("/_worker/workers/{worker}"), body).await.unwrap()
    }

    pub(crate) async fn poll(&mut self, worker: &str) -> io::Result<Response> {
        self.request("GET", &format!("/_worker/workers/{worker}/tasks/next"), "").await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Response {
        self.request("POST", path, body).await.unwrap()
    }

    pub(crate) async fn request(&mut self, method: &str, path: &str, body: &str) -> io::Result<Response> {
        self.send_request(method, path, body).await?;
        self.response().await
    }

    pub(crate) async fn send_request(&mut self, method: &str, path: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}");
        self.send(&text).await
    }

    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    pub(crate) async fn response(&mut self) -> io::Result<Response> {
        loop {
            if let Some((response, used)) = parse(&self.buffer) {
                self.buffer.drain(..used);
                return Ok(response);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Everything until the server closes.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffer).await?;
        Ok(std::mem::take(&mut self.buffer))
    }
}

fn parse(buffer: &[u8]) -> Option<(Response, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = parsed.parse(buffer).unwrap() else { return None };
    let headers: Vec<_> = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap()))
        .collect();
    let mut response = Response { status: parsed.code.unwrap(), headers, body: Vec::new() };
    let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
    response.body = buffer.get(start..start + length)?.to_vec();
    Some((response, start + length))
}
