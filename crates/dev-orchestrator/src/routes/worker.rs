//! The worker side of the protocol, except polls.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use rxon::model::RegistrationAnswer;
use rxon::signing::EVENT_IGNORES;
use rxon::{JobId, WorkerId};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Desk, body, messages};
use crate::events::{Event, MAX_PAYLOAD};
use crate::imitate::{Imitation, Kind};
use crate::jobs::{Ignored, ProgressReport, Report, Verdict};
use crate::refusal::{self, Refusal};
use crate::store::Payloads;

/// `POST /_worker/workers/register`
pub(super) async fn register(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let (head, body) = receive(&desk, request).await?;
    let registration: messages::Registration = body::parse(&body, "a registration")?;
    let (hello, invalid) = registration.introduction(version(&head.headers))?;
    let worker_id = hello.worker_id.clone();
    desk.limits.admit(Kind::Registration, &worker_id)?;
    desk.admit(&head.headers, &body, &worker_id, &[])?;
    if !desk.hub.update(|jobs, now| jobs.on_register(hello, now)) {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many workers are registered: wait until silent ones are removed, or start a new orchestrator",
        ));
    }
    tracing::info!(%worker_id, "worker registered");
    let warning = warning(&head.headers, &invalid);
    if let Some(warning) = &warning {
        tracing::warn!(%worker_id, "{warning}");
    }
    let is_older = desk.imitation() == Some(Imitation::Older);
    let answer = RegistrationAnswer {
        status: Some("registered".to_owned()),
        version: (!is_older).then(|| rxon::VERSION.to_owned()),
        warning: warning.filter(|_| !is_older),
    };
    Ok(refusal::json(StatusCode::OK, &answer))
}

/// `PATCH /_worker/workers/{id}`
pub(super) async fn heartbeat(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = receive(&desk, request).await?;
    let worker = path_id(path)?;
    desk.limits.admit(Kind::Heartbeat, &worker)?;
    let beat = if body.is_empty() {
        None
    } else {
        let heartbeat: messages::Heartbeat = body::parse(&body, "a heartbeat")?;
        if let Some(id) = heartbeat.worker_id.as_deref().filter(|id| *id != worker.as_str()) {
            let id = crate::text::cut(id, 200);
            return Err(Refusal::forbidden(format!(
                "`worker_id` is `{id}`, expected `{worker}` as in the path"
            )));
        }
        desk.auth.message(&body, desk.auth.token(&head.headers)?, &worker, &[])?;
        Some(heartbeat.beat()?)
    };
    let has_body = beat.is_some();
    let answer = desk.hub.update(|jobs, now| jobs.on_heartbeat(&worker, beat, now));
    let answer = match answer {
        // The newer one does not say that it does not know the worker.
        None if has_body && desk.imitation() == Some(Imitation::Newer) => json!({"status": "ok"}),
        None => json!(null),
        Some(_) if !has_body => json!({"status": "ttl_refreshed"}),
        // The older one names tasks to be stopped over the websocket only.
        Some(stop) if stop.is_empty() || desk.imitation() == Some(Imitation::Older) => {
            json!({"status": "ok"})
        }
        Some(stop) => json!({"status": "ok", "cancel_task_ids": stop}),
    };
    Ok(refusal::json(StatusCode::OK, &answer))
}

/// `POST /_worker/tasks/result`
pub(super) async fn result(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let (head, body) = receive(&desk, request).await?;
    let result: messages::TaskResult = body::parse(&body, "a result")?;
    let worker_id = sender(result.worker_id.as_deref(), &head.headers)?;
    desk.limits.admit(Kind::Result, &worker_id)?;
    desk.admit(&head.headers, &body, &worker_id, &[])?;
    let report = Report {
        worker_id,
        job_id: result.job_id,
        task_id: result.task_id,
        status: crate::text::cut(result.status.as_deref().unwrap_or("success"), 200),
        payloads: Payloads {
            data: object("data", result.data)?,
            metadata: object("metadata", result.metadata)?,
            costs: object("costs", result.costs)?,
        },
        error: result.error.map(messages::TaskError::failure),
    };
    let verdict = desk.hub.update(|jobs, now| jobs.on_result(report, now));
    if desk.imitation() == Some(Imitation::Older) {
        return older_answer(&verdict);
    }
    let answer = match verdict {
        Verdict::Accepted(transition) => json!({"status": "accepted", "transition": transition}),
        Verdict::Ignored(Ignored { reason, message }) => {
            tracing::debug!(reason, "result ignored: {message}");
            json!({"status": "ignored", "reason": reason, "message": message})
        }
    };
    Ok(refusal::json(StatusCode::OK, &answer))
}

/// Returns the answer of the older orchestrator to a result.
fn older_answer(verdict: &Verdict) -> Result<Response, Refusal> {
    match verdict {
        Verdict::Ignored(Ignored { reason: "job_not_found", .. }) => {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Job not found"))
        }
        _ => Ok(refusal::json(StatusCode::OK, &json!({"status": "ok"}))),
    }
}

fn object(field: &str, value: Option<Box<RawValue>>) -> Result<Option<Arc<RawValue>>, Refusal> {
    match value {
        Some(value) if !value.get().starts_with('{') => {
            let shown = crate::text::cut(value.get(), 80);
            let problem = format!("`{field}` is `{shown}`, expected an object or `null`");
            Err(Refusal::bad_request(problem))
        }
        value => Ok(value.map(Arc::from)),
    }
}

/// `POST /_worker/events`
pub(super) async fn event(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let (head, body) = receive(&desk, request).await?;
    let event: messages::EventMessage = body::parse(&body, "an event")?;
    let worker_id = sender(event.worker_id.as_deref(), &head.headers)?;
    desk.limits.admit(Kind::Event, &worker_id)?;
    desk.admit(&head.headers, &body, &worker_id, &EVENT_IGNORES)?;
    Ok(refusal::json(StatusCode::OK, &take_event(&desk, worker_id, event)?))
}

/// Takes an event of a worker, and returns the answer.
pub(super) fn take_event(
    desk: &Desk,
    worker_id: WorkerId,
    event: messages::EventMessage,
) -> Result<Value, Refusal> {
    if event.kind == rxon::model::Event::PROGRESS {
        let payload: messages::ProgressPayload =
            body::parse(event.payload.get().as_bytes(), "a payload of progress")?;
        return take_progress(
            desk,
            &ProgressReport {
                worker_id,
                job_id: event.target_job_id,
                task_id: event.target_task_id.or(event.origin_task_id),
                progress: payload.progress,
                message: payload.message.unwrap_or_default(),
            },
        );
    }
    desk.hub.publish(Event::Custom {
        worker_id,
        event_type: crate::text::cut(&event.kind, 200),
        job_id: event.target_job_id.and_then(JobId::received),
        payload: (event.payload.get().len() <= MAX_PAYLOAD).then(|| event.payload.into()),
    });
    Ok(json!({"status": "event_accepted"}))
}

/// Takes the progress of a task, and returns the answer.
pub(super) fn take_progress(desk: &Desk, report: &ProgressReport) -> Result<Value, Refusal> {
    match desk.hub.update(|jobs, now| jobs.on_progress(report, now)) {
        Ok(()) => Ok(json!({"status": "event_accepted"})),
        Err(Ignored { reason: "worker_mismatch", message }) => Err(Refusal::forbidden(message)),
        Err(Ignored { reason, message }) => {
            Ok(json!({"status": "error", "message": message, "code": reason}))
        }
    }
}

impl Desk {
    /// Checks that a message is from this worker.
    fn admit(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        worker: &WorkerId,
        ignore: &[&str],
    ) -> Result<(), Refusal> {
        if let Some(id) = header_id(headers).filter(|id| *id != worker.as_str()) {
            let id = crate::text::cut(id, 200);
            return Err(Refusal::forbidden(format!(
                "`worker_id` is `{worker}`, but `X-Worker-ID` is `{id}`"
            )));
        }
        self.auth.message(body, self.auth.token(headers)?, worker, ignore)
    }
}

/// Reads a message, before the token is checked: otherwise a client with a wrong token would see its connection reset
/// instead of the answer.
async fn receive(desk: &Desk, request: Request) -> Result<(Parts, Bytes), Refusal> {
    let (mut head, body) = request.into_parts();
    let body = match head.extensions.remove::<body::Received>() {
        Some(received) => received.0,
        None => body::read(body, &desk.hub).await,
    };
    desk.auth.token(&head.headers)?;
    Ok((head, body?))
}

/// Returns the worker id in the path.
pub(super) fn path_id(path: Result<Path<String>, PathRejection>) -> Result<WorkerId, Refusal> {
    let Path(id) =
        path.map_err(|error| Refusal::bad_request(format!("`worker_id`: {}", error.body_text())))?;
    messages::worker_id(&id)
}

/// Returns the worker id in the body, else the one in the header.
fn sender(body: Option<&str>, headers: &HeaderMap) -> Result<WorkerId, Refusal> {
    let id = body
        .or_else(|| header_id(headers))
        .ok_or_else(|| Refusal::bad_request("`worker_id` is missing, expected the id of the worker"))?;
    messages::worker_id(id)
}

fn header_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-worker-id")?.to_str().ok()
}

fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-rxon-version")?.to_str().ok()
}

/// Returns a warning for the developer of a worker about problems that do no harm here.
fn warning(headers: &HeaderMap, invalid: &[String]) -> Option<String> {
    let mismatch = version(headers).filter(|version| *version != rxon::VERSION).map(|version| {
        let version = crate::text::cut(version, 80);
        format!("Protocol version mismatch! Orchestrator: {}, Worker: {version}.", rxon::VERSION)
    });
    let names = invalid.first().map(|name| {
        format!("`{name}` is not a valid task name, expected 1 to 128 characters of `a-z A-Z 0-9 _ -`")
    });
    let parts: Vec<String> = mismatch.into_iter().chain(names).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
