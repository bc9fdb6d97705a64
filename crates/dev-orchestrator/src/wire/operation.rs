//! The operation of a request, and the worker and the task that it is about.

use axum::http::Method;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

/// The path below which workers find everything.
const PREFIX: &str = "/_worker/";

/// The operation of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Register,
    Heartbeat,
    Poll,
    Result,
    Event,
    Token,
    /// The handshake of a websocket.
    Websocket,
    /// A frame that a worker has sent.
    FrameIn,
    /// A frame that a worker was sent.
    FrameOut,
    /// A request for a route that does not exist.
    Other,
}

impl Operation {
    /// Reads a path: the operation, and the worker that the path names. `None` if it is not one for workers.
    fn of_path(path: &str) -> Option<(Self, Option<&str>)> {
        let mut segments = path.strip_prefix(PREFIX)?.split('/');
        let segments = [(); 5].map(|()| segments.next());
        Some(match segments {
            [Some("workers"), Some("register"), None, ..] => (Self::Register, None),
            [Some("workers"), worker, None, ..] => (Self::Heartbeat, worker),
            [Some("workers"), worker, Some("tasks"), Some("next"), None] => (Self::Poll, worker),
            [Some("tasks"), Some("result"), None, ..] => (Self::Result, None),
            [Some("events"), None, ..] => (Self::Event, None),
            [Some("auth"), ..] => (Self::Token, None),
            [Some("ws"), worker, None, ..] => (Self::Websocket, worker),
            _ => (Self::Other, None),
        })
    }
}

/// A request of a worker: what is known of it before it is handled.
#[derive(Debug)]
pub(crate) struct Visit {
    operation: Operation,
    worker: Option<Box<str>>,
    /// The task id of a result.
    result: Option<Box<str>>,
}

/// The members of a body that say whom it is about.
#[derive(Deserialize)]
struct Ids {
    #[serde(default)]
    worker_id: Option<Box<str>>,
    #[serde(default)]
    task_id: Option<Box<str>>,
}

impl Visit {
    /// Reads the head of a request. `None` if it is not one of a worker.
    pub(crate) fn of(head: &Parts) -> Option<Self> {
        let (operation, worker) = Operation::of_path(head.uri.path())?;
        let header = || head.headers.get("x-worker-id")?.to_str().ok();
        Some(Self { operation, worker: worker.or_else(header).map(Box::from), result: None })
    }

    /// Reads the body of the request, where the head does not say all. `is_watched` says that a fault is on.
    pub(crate) fn read_body(&mut self, body: &[u8], is_watched: bool) {
        let is_result = self.operation == Operation::Result;
        let has_worker = is_result || matches!(self.operation, Operation::Register | Operation::Event);
        if ((is_result && is_watched) || (has_worker && self.worker.is_none()))
            && let Ok(ids) = serde_json::from_slice::<Ids>(body)
        {
            self.worker = self.worker.take().or(ids.worker_id);
            self.result = ids.task_id.filter(|_| is_result);
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) fn worker(&self) -> Option<&str> {
        self.worker.as_deref()
    }

    /// The task id, if this is a result and a fault is on.
    pub(crate) fn result(&self) -> Option<&str> {
        self.result.as_deref()
    }

    /// Whether it lasts until there is something to say.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.operation, Operation::Poll | Operation::Websocket)
    }
}

/// Whether a request with this method has a body that has to be read.
pub(crate) fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_workers_has_its_operation() {
        for (path, expected) in [
            ("/_worker/workers/register", Some((Operation::Register, None))),
            ("/_worker/workers/w", Some((Operation::Heartbeat, Some("w")))),
            ("/_worker/workers/w/tasks/next", Some((Operation::Poll, Some("w")))),
            ("/_worker/tasks/result", Some((Operation::Result, None))),
            ("/_worker/events", Some((Operation::Event, None))),
            ("/_worker/auth/token", Some((Operation::Token, None))),
            ("/_worker/ws/w", Some((Operation::Websocket, Some("w")))),
            ("/_worker/workers/w/tasks", Some((Operation::Other, None))),
            ("/_worker/workers/w/tasks/next/a", Some((Operation::Other, None))),
            ("/_worker/", Some((Operation::Other, None))),
            ("/_workers", None),
            ("/api/tasks", None),
        ] {
            assert_eq!(Operation::of_path(path), expected, "{path}");
        }
    }

    fn visit(path: &str, header: Option<&str>) -> Visit {
        let mut request = axum::http::Request::builder().uri(path);
        if let Some(id) = header {
            request = request.header("x-worker-id", id);
        }
        Visit::of(&request.body(()).expect("a request").into_parts().0).expect("of a worker")
    }

    #[test]
    fn the_worker_is_in_the_path_the_header_or_the_body() {
        assert_eq!(visit("/_worker/workers/w", Some("v")).worker(), Some("w"));
        assert_eq!(visit("/_worker/tasks/result", Some("v")).worker(), Some("v"));
        let mut result = visit("/_worker/tasks/result", None);
        result.read_body(br#"{"worker_id":"u","task_id":"t","data":{"a":[1]}}"#, true);
        assert_eq!((result.worker(), result.result()), (Some("u"), Some("t")));
        let mut event = visit("/_worker/events", None);
        event.read_body(br#"{"worker_id":"u","task_id":"t"}"#, false);
        assert_eq!((event.worker(), event.result()), (Some("u"), None));
        event.read_body(b"<html>", true);
        assert_eq!(event.worker(), Some("u"));
    }
}
