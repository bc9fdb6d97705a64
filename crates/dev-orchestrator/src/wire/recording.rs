//! An exchange while it goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use rxon::TaskId;

use super::exchange::{Head, Headers, MAX_BODY, kept_body, kept_path};
use super::operation::Visit;
use crate::clock::Now;
use crate::faults::Fault;
use crate::hub::Hub;
use crate::peer::Reset;

/// The number of a websocket; also an extension of the response to its handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketNumber(pub(super) u64);

/// A task in the answer to a poll, as an extension of the response.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    pub(crate) task_id: TaskId,
    /// The length of the body, which does not announce it.
    pub(crate) length: u64,
    /// The fault to which the worker owes the task.
    pub(crate) fault: Option<Fault>,
}

/// An exchange that has begun. When it is dropped, it has ended: it is added to the log, whatever ended it.
#[derive(Debug)]
pub(crate) struct Recording {
    hub: Arc<Hub>,
    visit: Visit,
    begun: Instant,
    head: Head,
    request: Bytes,
    response: Vec<u8>,
    /// The task in the answer, if a fault is on.
    handed: Option<TaskId>,
    /// Whether all of the answer was given to the connection.
    is_answered: bool,
    /// Whether a fault has replaced or destroyed the answer.
    is_harmed: bool,
}

impl Recording {
    pub(crate) fn new(hub: Arc<Hub>, visit: Visit, head: &Parts) -> Self {
        let kept = Head {
            at: Now::read().unix,
            operation: visit.operation(),
            method: head.method.clone(),
            path: kept_path(&head.uri),
            request_headers: Headers::copy(&head.headers),
            ..Head::default()
        };
        Self {
            hub,
            visit,
            begun: Instant::now(),
            head: kept,
            request: Bytes::new(),
            response: Vec::new(),
            handed: None,
            is_answered: false,
            is_harmed: false,
        }
    }

    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }

    /// Takes the body of the request, or the beginning of one that was refused, and its length.
    pub(crate) fn on_request_body(&mut self, body: &[u8], length: usize) {
        self.head.request_bytes = length as u64;
        self.request = kept_body(body);
        self.visit.read_body(body, self.hub.faults.is_active());
    }

    /// Records that a fault has hit the exchange, and whether it took the answer of the route away.
    pub(crate) fn on_fault(&mut self, fault: Fault, is_harmful: bool) {
        self.head.fault = Some(fault);
        self.is_harmed |= is_harmful;
        self.tell(fault);
    }

    /// Records the task that the route has given to the worker, while a fault is on.
    pub(crate) fn on_handed(&mut self, handed: &Handed) {
        self.handed = Some(handed.task_id.clone());
        self.head.fault = handed.fault;
        if let Some(fault) = handed.fault {
            self.tell(fault);
        }
    }

    /// Tells at once that a fault has hit a message about a task: an exchange may last as long as its fault.
    fn tell(&self, fault: Fault) {
        let handed = self.handed.as_ref().map(TaskId::as_str);
        if let Some(task) = handed.or(self.visit.result()) {
            self.hub.on_task_hit(fault, task, self.visit.worker(), handed.is_none());
        }
    }

    /// Records an answer while it is sent.
    pub(crate) fn answer(mut self, response: Response) -> Response {
        let extensions = response.extensions();
        if extensions.get::<Reset>().is_some() {
            return response;
        }
        self.head.status = Some(response.status());
        self.head.response_headers = Headers::copy(response.headers());
        self.head.socket = extensions.get::<SocketNumber>().map(|socket| socket.0);
        if response.body().is_end_stream() {
            self.is_answered = true;
            return response;
        }
        response.map(|body| Body::new(Tap { body, recording: self }))
    }

    fn on_data(&mut self, data: &[u8]) {
        self.head.response_bytes += data.len() as u64;
        let room = MAX_BODY - self.response.len();
        self.response.extend_from_slice(&data[..data.len().min(room)]);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        head.seconds = self.begun.elapsed().as_secs_f64();
        head.worker = self.visit.worker().map(Box::from);
        let is_success = head.status.is_some_and(|status| status.is_success());
        let request = std::mem::take(&mut self.request);
        let response = std::mem::take(&mut self.response).into_boxed_slice();
        self.hub.wire.add(head, request, response.into());
        if self.hub.faults.is_active() {
            let is_answered = self.is_answered && !self.is_harmed;
            self.hub.on_exchange_ended(&self.visit, is_answered, is_answered && is_success);
        }
    }
}

/// The body of an answer that is recorded.
#[derive(Debug)]
struct Tap {
    body: Body,
    recording: Recording,
}

impl hyper::body::Body for Tap {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.recording.on_data(data);
                }
                self.recording.is_answered = self.body.is_end_stream();
            }
            Some(Err(_)) => {}
            None => self.recording.is_answered = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
