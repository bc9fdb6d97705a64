//! Polls: held until there is a task, and never the end of one.
//!
//! A task that is handed to a poll counts as delivered when the connection has taken all of its bytes but the last
//! few (the end of the chunked body), which are held back until the rest has been written. A client that
//! has gone away by then, or whose connection breaks, has no complete task; it goes back to the queue.
//!
//! What cannot be seen: a machine that vanished without a word, or a process that is stopped, as long as its kernel
//! (or ours) still takes the bytes; and a client that had sent further bytes on the same connection, which hide the
//! end of it from us until an answer is written. There the task's timeout puts it back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use rxon::signing::unix_seconds;
use rxon::{JobId, TaskId, TaskName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Desk, worker};
use crate::hub::Hub;
use crate::jobs::PollId;
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
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    desk.auth.token(&headers)?;
    let worker = worker::path_id(path)?;
    let Query(wishes) = wishes.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let hold = hold(wishes.timeout, desk.hub.settings.poll_hold)?;
    let (id, receiver) = desk.hub.open_poll(&worker);
    let poll = HeldPoll { hub: desk.hub.clone(), id, receiver };
    Ok(match poll.until(hold).await {
        Some(delivery) => delivery.into_response(),
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
    fn into_response(self) -> Response {
        match serde_json::to_vec(&TaskPayload::new(&self.assignment)) {
            Ok(task) => {
                let body = DeliveryBody { delivery: self, task: task.into(), written: false };
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

/// The bytes of a task. Says that it ends only after the connection had a chance to write them.
struct DeliveryBody {
    delivery: Delivery,
    task: Bytes,
    written: bool,
}

impl hyper::body::Body for DeliveryBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.task.is_empty() {
            let length = self.task.len().min(PIECE);
            return Poll::Ready(Some(Ok(Frame::data(self.task.split_to(length)))));
        }
        if !self.written {
            // While this waits, hyper writes what it has, and looks whether the client is still there.
            self.written = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.delivery.arrived = true;
        Poll::Ready(None)
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
    deadline: f64,
    timestamp: u64,
    metadata: serde_json::Map<String, serde_json::Value>,
    step: u32,
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
