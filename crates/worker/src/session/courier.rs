//! Progress, sent as it becomes due. Has a connection of its own, so that heartbeats never wait for it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rxon::id::random_uuid;
use rxon::model::{Event, Generation, Progress};
use rxon::signing::EVENT_IGNORES;
use rxon::transport::{Operation, Request, Transport};
use tokio::time::Instant;

use super::Session;
use super::rate::RateGate;
use crate::core::Core;
use crate::progress::Report;

/// Progress that takes longer is of no use: all tasks' results may wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Sends progress for as long as it is polled.
pub(super) async fn courier(core: Arc<Core>, session: Arc<Session>) {
    let mut transport: Option<Box<dyn Transport>> = None;
    let (mut gate, mut rng) = (RateGate::default(), Rng::new());
    loop {
        let report = session.progress.next().await;
        let transport = transport.get_or_insert_with(|| session.peer.connector.transport());
        gate.on_sent(Instant::now(), true, &mut rng);
        match send(&core, &session, &mut **transport, &report).await {
            Answer::TooMany(retry_after) => {
                if gate.on_refused(Instant::now(), retry_after, &mut rng) {
                    super::say_rate_limited(&session.peer.name, "events");
                }
            }
            Answer::Other => gate.on_accepted(),
            Answer::None => {}
        }
        session.progress.sent(&report.task_id);
        if let Some(until) = gate.closed_until(Instant::now()) {
            // Meanwhile the newest of each task is kept, and results do not wait for it.
            session.progress.pause(until);
        }
    }
}

enum Answer {
    TooMany(Option<Duration>),
    Other,
    None,
}

async fn send(core: &Core, session: &Session, transport: &mut dyn Transport, report: &Report) -> Answer {
    let peer = &session.peer;
    let payload = Progress { progress: report.progress, message: report.message.clone() };
    let event = Event {
        event_id: random_uuid(),
        worker_id: core.worker_id.clone(),
        origin_worker_id: core.worker_id.clone(),
        event_type: Event::PROGRESS.to_owned(),
        payload: serde_json::value::to_raw_value(&payload).expect("a number and a text always serialise"),
        origin_task_id: Some(report.task_id.clone()),
        bubbling_chain: Vec::new(),
        target_job_id: Some(report.job_id.clone()),
        target_task_id: Some(report.task_id.clone()),
        trace_context: std::collections::BTreeMap::new(),
        priority: 0.0,
    };
    let body = match peer.seal.message(&event, &EVENT_IGNORES, Generation::Newer) {
        Ok(body) => body,
        Err(error) => {
            tracing::warn!(task_id = %report.task_id, %error, "the progress cannot be signed");
            return Answer::None;
        }
    };
    match transport.exchange(Request::new(Operation::Event, TIME_LIMIT).with_body(body)).await {
        Ok(response) if response.status == 429 => Answer::TooMany(response.retry_after),
        Ok(response) => {
            if !response.is_success() {
                let reason = format!("{}: {}", response.status, response.error_text());
                tracing::debug!(task_id = %report.task_id, reason, "the progress was refused");
            }
            Answer::Other
        }
        Err(error) => {
            tracing::debug!(task_id = %report.task_id, error = %error.chain(), "the progress could not be sent");
            Answer::None
        }
    }
}
