//! The answers of the orchestrator without a script.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;

use super::answer::reason;
use super::endpoint::Endpoint;
use super::script::Generation;

/// The ordinary answer to a request.
pub(crate) enum Normal {
    /// A whole response, made in advance.
    Ready(Bytes),
    /// 200 with this JSON body.
    Json(String),
    /// A task, once there is one.
    Poll,
    /// An open websocket.
    WebSocket,
}

/// The memory of the orchestrator, and its ready-made responses.
pub(crate) struct Behaviour {
    generation: Generation,
    body_limit: usize,
    workers: Mutex<HashSet<String>>,
    ready: Ready,
}

/// Constant responses, which are sent without formatting.
struct Ready {
    registered: Bytes,
    heartbeat: Bytes,
    refreshed: Bytes,
    stranger: Bytes,
    result: Bytes,
    event: Bytes,
    no_task: Bytes,
    not_found: Bytes,
    bad_request: Bytes,
    too_large: Bytes,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    worker_id: std::borrow::Cow<'a, str>,
}

impl Behaviour {
    pub(crate) fn new(generation: Generation, body_limit: usize) -> Self {
        Self { generation, body_limit, workers: Mutex::default(), ready: Ready::new(generation) }
    }

    /// Decides the answer to a request that has arrived whole.
    pub(crate) fn answer(&self, endpoint: Endpoint, worker: &[u8], body: &[u8]) -> Normal {
        if body.len() > self.body_limit {
            return Normal::Ready(self.ready.too_large.clone());
        }
        let ready = match endpoint {
            Endpoint::Poll => return Normal::Poll,
            Endpoint::Heartbeat => return self.heartbeat(&String::from_utf8_lossy(worker), body),
            Endpoint::Register => self.register(body),
            Endpoint::Result => &self.ready.result,
            Endpoint::Event => &self.ready.event,
            Endpoint::WebSocket => return Normal::WebSocket,
            Endpoint::Token | Endpoint::TokenRefresh | Endpoint::Other => &self.ready.not_found,
        };
        Normal::Ready(ready.clone())
    }

    /// 204: there was no task within the hold.
    pub(crate) fn no_task(&self) -> &Bytes {
        &self.ready.no_task
    }

    /// 400, for requests that are not HTTP.
    pub(crate) fn bad_request(&self) -> &Bytes {
        &self.ready.bad_request
    }

    pub(crate) fn forget_workers(&self) {
        self.workers().clear();
    }

    pub(crate) fn knows(&self, worker: &str) -> bool {
        self.workers().contains(worker)
    }

    fn register(&self, body: &[u8]) -> &Bytes {
        let Ok(registration) = serde_json::from_slice::<Named<'_>>(body) else {
            return &self.ready.bad_request;
        };
        self.workers().insert(registration.worker_id.into_owned());
        &self.ready.registered
    }

    fn heartbeat(&self, worker: &str, body: &[u8]) -> Normal {
        let known = self.knows(worker);
        let ready = match (self.generation, body.is_empty(), known) {
            // 1.0b17 does not report an unknown worker in answer to a heartbeat with a body.
            (Generation::Newer, false, _) => &self.ready.heartbeat,
            (_, true, true) => &self.ready.refreshed,
            (Generation::Older, false, true) => {
                return Normal::Json(serde_json::json!({ "worker_id": worker }).to_string());
            }
            (_, _, false) => &self.ready.stranger,
        };
        Normal::Ready(ready.clone())
    }

    fn workers(&self) -> MutexGuard<'_, HashSet<String>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready {
    fn new(generation: Generation) -> Self {
        let (registered, result) = match generation {
            Generation::Older => (r#"{"status":"registered"}"#, r#"{"status":"ok"}"#),
            Generation::Newer => (
                r#"{"status":"registered","version":"1.0b17"}"#,
                r#"{"status":"accepted","transition":"success_transition"}"#,
            ),
        };
        let response = |status, body| response(generation, status, body);
        Self {
            registered: response(200, registered),
            heartbeat: response(200, r#"{"status":"ok"}"#),
            refreshed: response(200, r#"{"status":"ttl_refreshed"}"#),
            stranger: response(200, "null"),
            result: response(200, result),
            event: response(200, r#"{"status":"event_accepted"}"#),
            no_task: response(204, ""),
            not_found: response(404, r#"{"error":"Not Found"}"#),
            bad_request: response(400, r#"{"error":"Bad Request"}"#),
            too_large: response(413, r#"{"error":"Payload Too Large"}"#),
        }
    }
}

fn response(generation: Generation, status: u16, body: &str) -> Bytes {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    if generation == Generation::Newer {
        text.push_str("x-rxon-version: 1.0b17\r\n");
    }
    if status != 204 {
        let _ = write!(text, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    text.push_str(body);
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(normal: &Normal) -> String {
        match normal {
            Normal::Ready(bytes) => {
                String::from_utf8_lossy(bytes).split_once("\r\n\r\n").unwrap().1.to_owned()
            }
            Normal::Json(body) => body.clone(),
            Normal::Poll | Normal::WebSocket => panic!("not an answer"),
        }
    }

    #[test]
    fn heartbeats_of_both_generations() {
        let table = [
            (Generation::Older, "{}", false, "null"),
            (Generation::Older, "{}", true, r#"{"worker_id":"w"}"#),
            (Generation::Older, "", false, "null"),
            (Generation::Older, "", true, r#"{"status":"ttl_refreshed"}"#),
            (Generation::Newer, "{}", false, r#"{"status":"ok"}"#),
            (Generation::Newer, "{}", true, r#"{"status":"ok"}"#),
            (Generation::Newer, "", false, "null"),
            (Generation::Newer, "", true, r#"{"status":"ttl_refreshed"}"#),
        ];
        for (generation, body, known, wanted) in table {
            let behaviour = Behaviour::new(generation, 100);
            if known {
                behaviour.answer(Endpoint::Register, b"", br#"{"worker_id":"w"}"#);
            }
            let answer = behaviour.answer(Endpoint::Heartbeat, b"w", body.as_bytes());
            assert_eq!(body_of(&answer), wanted, "{generation:?} {body:?} {known}");
        }
    }

    #[test]
    fn a_registration_without_a_worker_is_refused() {
        let behaviour = Behaviour::new(Generation::Newer, 100);
        let answer = behaviour.answer(Endpoint::Register, b"", b"{}");
        assert_eq!(body_of(&answer), r#"{"error":"Bad Request"}"#);
    }
}
