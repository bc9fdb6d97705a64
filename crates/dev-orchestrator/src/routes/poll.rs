//! Polls: requests that are held until there is a task, and never lose one.
//!
//! A task that is handed to a poll counts as delivered when all of its bytes except the last few (the end of the
//! chunked body) are written, and the client is still connected. The last bytes are held back until then: a client that
//! has closed or lost its connection has no complete task, and the task goes back to the queue.
//!
//! Some losses cannot be detected: a machine that disappears without closing its connections, a process that is stopped
//! or dies before it has read the written bytes, and the last 400 KB of a large task that wait for a slow reader. In
//! these cases the task's timeout puts it back.
//!
//! An imitated orchestrator has none of that: a poll that its client abandons stays open, and swallows a task.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as _, Frame};
use rxon::signing::unix_seconds;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Desk, worker};
use crate::faults::Fault;
use crate::hub::Hub;
use crate::imitate::Kind;
use crate::jobs::PollId;
use crate::peer::Peer;
use crate::refusal::{self, Refusal};
use crate::store::Assignment;
use crate::wire::Handed;

/// The size of the pieces in which a task is given to the connection, so that backpressure works.
const PIECE: usize = 64 * 1024;

/// The number of connections and abandoned polls beyond which polls end with their clients.
const MAX_TASKS: usize = 50_000;

#[derive(Deserialize)]
pub(super) struct PollOptions {
    timeout: Option<f64>,
}

/// `GET /_worker/workers/{id}/tasks/next`
pub(super) async fn next(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    options: Result<Query<PollOptions>, QueryRejection>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    desk.auth.token(&headers)?;
    let worker = worker::path_id(path)?;
    desk.limits.admit(Kind::Poll, &worker)?;
    let is_imitated = desk.imitation().is_some();
    let hold = if is_imitated {
        desk.hub.settings.poll_hold
    } else {
        let Query(options) = options?;
        hold(options.timeout, desk.hub.settings.poll_hold)?
    };
    if let Some(copy) = desk.hub.faults.copy_for(&worker) {
        return Ok(second_copy(&copy));
    }
    let (id, receiver) = desk.hub.open_poll(&worker);
    desk.hub.on_poll_accepted(&worker);
    let poll = HeldPoll { hub: desk.hub.clone(), worker, id, receiver, takes_back: !is_imitated };
    // On a task of its own, it stays open when the client is gone.
    let delivery = if is_imitated && desk.tasks.len() < MAX_TASKS {
        desk.tasks.spawn(poll.until(hold)).await.ok().flatten()
    } else {
        poll.until(hold).await
    };
    Ok(match delivery {
        Some(delivery) => delivery.into_response(peer),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn hold(requested: Option<f64>, limit: Duration) -> Result<Duration, Refusal> {
    let Some(requested) = requested else { return Ok(limit) };
    if requested.is_nan() || requested < 0.0 {
        let text = format!("`timeout` is `{requested}`, expected a number of seconds, 0 or more");
        return Err(Refusal::bad_request(text));
    }
    Ok(Duration::try_from_secs_f64(requested).map_or(limit, |requested| requested.min(limit)))
}

/// Answers with a task that the worker was given before, as the fault `duplicate` wants it.
fn second_copy(assignment: &Assignment) -> Response {
    let mut response = refusal::json(StatusCode::OK, &TaskPayload::new(assignment));
    let length = response.body().size_hint().lower();
    let (task_id, fault) = (assignment.task_id.clone(), Some(Fault::Duplicate));
    response.extensions_mut().insert(Handed { task_id, length, fault });
    response
}

/// An open poll. Dropping it, as when its client disconnects, closes it at once.
struct HeldPoll {
    hub: Arc<Hub>,
    worker: WorkerId,
    id: PollId,
    receiver: oneshot::Receiver<Assignment>,
    /// Whether a task that does not reach the worker goes back into the queue.
    takes_back: bool,
}

impl HeldPoll {
    async fn until(mut self, hold: Duration) -> Option<Delivery> {
        let stop = self.hub.stop.clone();
        tokio::select! {
            biased;
            assignment = &mut self.receiver => {
                return Some(self.delivery(assignment.ok()?));
            }
            () = stop.cancelled() => {}
            () = tokio::time::sleep(hold) => {}
        }
        self.close()
    }

    /// Closes the poll; a task that arrived at the last moment is still delivered.
    fn close(&mut self) -> Option<Delivery> {
        self.hub.close_poll(self.id);
        let assignment = self.receiver.try_recv().ok()?;
        Some(self.delivery(assignment))
    }

    fn delivery(&self, assignment: Assignment) -> Delivery {
        let (hub, worker, takes_back) = (self.hub.clone(), self.worker.clone(), self.takes_back);
        Delivery { hub, worker, assignment, arrived: false, takes_back }
    }
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        // If the poll has a task, dropping the delivery puts it back.
        drop(self.close());
    }
}

/// A task on its way to a worker. Dropping it before it has arrived puts the task back into the queue, unless an imitated
/// orchestrator would lose it.
struct Delivery {
    hub: Arc<Hub>,
    worker: WorkerId,
    assignment: Assignment,
    arrived: bool,
    takes_back: bool,
}

impl Delivery {
    fn into_response(self, peer: Peer) -> Response {
        match serde_json::to_vec(&TaskPayload::new(&self.assignment)) {
            Ok(task) => {
                let handed = Handed {
                    task_id: self.assignment.task_id.clone(),
                    length: task.len() as u64,
                    fault: None,
                };
                let body = DeliveryBody { delivery: self, peer, task: task.into(), written: false };
                let mut response =
                    ([(header::CONTENT_TYPE, "application/json")], Body::new(body)).into_response();
                response.extensions_mut().insert(handed);
                response
            }
            Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

impl Delivery {
    /// Records the arrival. Called before the worker gets the last bytes, so that its result cannot come first.
    fn arrive(&mut self) {
        self.arrived = true;
        let Assignment { number, attempt, .. } = self.assignment;
        self.hub.update(|jobs, now| jobs.on_delivered(number, attempt, now));
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.arrived && self.takes_back {
            let Assignment { number, attempt, ref task_id, .. } = self.assignment;
            tracing::debug!(%task_id, "task not delivered: put back into the queue");
            self.hub.update(|jobs, now| jobs.on_undelivered(number, attempt, now));
        }
    }
}

/// The bytes of a task. The body ends only when the connection has written them, and the client is still connected.
struct DeliveryBody {
    delivery: Delivery,
    peer: Peer,
    task: Bytes,
    written: bool,
}

impl hyper::body::Body for DeliveryBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.task.is_empty() {
            let length = self.task.len().min(PIECE);
            return Poll::Ready(Some(Ok(Frame::data(self.task.split_to(length)))));
        }
        if !self.written {
            // While this waits, hyper writes its buffer. A peer that is gone answers with a reset.
            self.written = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.peer.is_connected() {
            self.delivery.arrive();
            let Delivery { hub, worker, assignment, .. } = &self.delivery;
            hub.faults.on_delivered(worker, assignment);
            Poll::Ready(None)
        } else {
            Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
        }
    }
}

/// A task on the wire.
#[derive(Serialize)]
struct TaskPayload<'a> {
    job_id: &'a JobId,
    task_id: &'a TaskId,
    #[serde(rename = "type")]
    name: &'a TaskName,
    params: &'a RawValue,
    tracing_context: serde_json::Map<String, serde_json::Value>,
    priority: f64,
    #[serde(serialize_with = "whole_as_integer")]
    deadline: f64,
    timestamp: u64,
    metadata: serde_json::Map<String, serde_json::Value>,
    step: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn whole_as_integer<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

impl<'a> TaskPayload<'a> {
    fn new(assignment: &'a Assignment) -> Self {
        Self {
            job_id: &assignment.job_id,
            task_id: &assignment.task_id,
            name: &assignment.name,
            params: &assignment.params,
            tracing_context: serde_json::Map::new(),
            priority: assignment.priority,
            deadline: assignment.deadline,
            timestamp: unix_seconds(),
            metadata: serde_json::Map::new(),
            step: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_can_only_shorten_the_hold() {
        let limit = Duration::from_secs(30);
        for (requested, seconds) in
            [(None, 30), (Some(5.0), 5), (Some(0.0), 0), (Some(1e300), 30), (Some(f64::INFINITY), 30)]
        {
            assert_eq!(hold(requested, limit).expect("valid"), Duration::from_secs(seconds), "{requested:?}");
        }
        for requested in [-1.0, f64::NAN] {
            assert!(hold(Some(requested), limit).is_err(), "{requested}");
        }
    }
}
