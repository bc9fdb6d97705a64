//! Polls: held until there is a task, and never the end of one.
//!
//! A task that is handed to a poll counts as delivered when all of its bytes are written but the last few (the end
//! of the chunked body), and the client is still there. Those few are held back until then: so a client that closed
//! its connection, or was cut off, has no complete task, and the task goes back to the queue.
//!
//! What cannot be seen: a machine that vanished without a word, a process that is stopped, or dies without having
//! read what was written, and the last 400 KB of a large task that wait for a slow reader. There the task's
//! timeout puts it back.

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
use hyper::body::Frame;
use rxon::signing::unix_seconds;
use rxon::{JobId, TaskId, TaskName};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Desk, worker};
use crate::hub::Hub;
use crate::jobs::PollId;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::store::Assignment;

/// Pieces in which a task is given to the connection, so that it can push back.
const PIECE: usize = 64 * 1024;

#[derive(Deserialize)]
pub(super) struct Wishes {
    timeout: Option<f64>,
}

/// `GET /_worker/workers/{id}/tasks/next`
pub(super) async fn next(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    desk.auth.token(&headers)?;
    let worker = worker::path_id(path)?;
    let Query(wishes) = wishes.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let hold = hold(wishes.timeout, desk.hub.settings.poll_hold)?;
    let (id, receiver) = desk.hub.open_poll(&worker);
    let poll = HeldPoll { hub: desk.hub.clone(), id, receiver };
    Ok(match poll.until(hold).await {
        Some(delivery) => delivery.into_response(peer),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn hold(wish: Option<f64>, longest: Duration) -> Result<Duration, Refusal> {
    let Some(wish) = wish else { return Ok(longest) };
    if wish.is_nan() || wish < 0.0 {
        return Err(Refusal::bad_request(format!("`timeout` is `{wish}`, expected seconds, 0 or more")));
    }
    Ok(Duration::try_from_secs_f64(wish).map_or(longest, |wish| wish.min(longest)))
}

/// A poll that waits. Dropped, as when its client goes away, it is forgotten at once.
struct HeldPoll {
    hub: Arc<Hub>,
    id: PollId,
    receiver: oneshot::Receiver<Assignment>,
}

impl HeldPoll {
    async fn until(mut self, hold: Duration) -> Option<Delivery> {
        let stop = self.hub.stop.clone();
        tokio::select! {
            biased;
            assignment = &mut self.receiver => {
                return Some(Delivery { hub: self.hub.clone(), assignment: assignment.ok()?, arrived: false });
            }
            () = stop.cancelled() => {}
            () = tokio::time::sleep(hold) => {}
        }
        self.close()
    }

    /// Waits no longer; a task that came at the last moment is still delivered.
    fn close(&mut self) -> Option<Delivery> {
        self.hub.close_poll(self.id);
        let assignment = self.receiver.try_recv().ok()?;
        Some(Delivery { hub: self.hub.clone(), assignment, arrived: false })
    }
}

impl Drop for HeldPoll {
    fn drop(&mut self) {
        // A task that is in it goes back with the delivery that is dropped here.
        drop(self.close());
    }
}

/// A task on its way. Dropped before it arrived, it goes back to the queue.
struct Delivery {
    hub: Arc<Hub>,
    assignment: Assignment,
    arrived: bool,
}

impl Delivery {
    fn into_response(self, peer: Peer) -> Response {
        match serde_json::to_vec(&TaskPayload::new(&self.assignment)) {
            Ok(task) => {
                let body = DeliveryBody { delivery: self, peer, task: task.into(), written: false };
                ([(header::CONTENT_TYPE, "application/json")], Body::new(body)).into_response()
            }
            Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.arrived {
            let Assignment { number, attempt, ref task_id, .. } = self.assignment;
            tracing::debug!(%task_id, "task not delivered, put back");
            self.hub.tell(|jobs, now| jobs.on_undelivered(number, attempt, now));
        }
    }
}

/// The bytes of a task. Ends only when the connection has written them, and the client is there to read them.
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
            // While this waits, hyper writes what it has. A peer that is gone answers that with a reset.
            self.written = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.peer.is_there() {
            self.delivery.arrived = true;
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
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
    fn a_worker_may_wish_for_a_shorter_hold_only() {
        let longest = Duration::from_secs(30);
        for (wish, seconds) in
            [(None, 30), (Some(5.0), 5), (Some(0.0), 0), (Some(1e300), 30), (Some(f64::INFINITY), 30)]
        {
            assert_eq!(hold(wish, longest).expect("fine"), Duration::from_secs(seconds), "{wish:?}");
        }
        for wish in [-1.0, f64::NAN] {
            assert!(hold(Some(wish), longest).is_err(), "{wish}");
        }
    }
}
