//! A reader of server-sent events, as a browser is one.

use avtomatika_dev::DevOrchestrator;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::in_time;

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open stream of events. Dropping it closes its connection.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) headers: HeaderMap,
    body: Incoming,
    unread: String,
    _connection: JoinSet<()>,
}

impl Browser {
    /// Opens a stream, and skips its first lines.
    pub(crate) async fn open(orchestrator: &DevOrchestrator) -> Self {
        Self::open_after(orchestrator, None).await.expect("there is room")
    }

    /// Opens a stream that goes on after an event; the error is the status of a refusal.
    pub(crate) async fn open_after(
        orchestrator: &DevOrchestrator,
        last: Option<&str>,
    ) -> Result<Self, StatusCode> {
        let headers: Vec<_> = last.into_iter().map(|last| ("last-event-id", last)).collect();
        Self::open_with(orchestrator, &headers).await
    }

    /// Opens a stream with these headers; the error is the status of a refusal.
    pub(crate) async fn open_with(
        orchestrator: &DevOrchestrator,
        headers: &[(&str, &str)],
    ) -> Result<Self, StatusCode> {
        let stream = TcpStream::connect(orchestrator.address()).await.expect("it listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        let mut request = Request::builder().uri("/api/events").header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let (head, body) = in_time(sender.send_request(request)).await.expect("an answer").into_parts();
        if head.status != StatusCode::OK {
            return Err(head.status);
        }
        Ok(Self { headers: head.headers, body, unread: String::new(), _connection: tasks })
    }

    /// Returns the next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                if let Some(event) = event(&block) {
                    return Some(event);
                }
                continue;
            }
            let frame = in_time(self.body.frame()).await?.expect("a frame").into_data().expect("data");
            self.unread.push_str(std::str::from_utf8(&frame).expect("whole characters"));
        }
    }

    /// Returns the next event with this name, and skips the others.
    pub(crate) async fn next_of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }

    /// Returns the next event of a task that has this status.
    pub(crate) async fn task_with(&mut self, status: &str) -> Event {
        loop {
            let event = self.next_of("task").await;
            if event.data["status"] == status {
                return event;
            }
        }
    }
}

/// Reads an event; `None` for a comment, and for the time of the next try.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let Some(name) = field("event: ") else {
        assert!(block.starts_with(':') || block == "retry: 1000", "{block}");
        return None;
    };
    let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let data = serde_json::from_str(&data.join("\n")).expect("JSON");
    Some(Event { id: field("id: ").expect("every event has an id"), name, data })
}
