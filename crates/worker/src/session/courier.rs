//! Progress and events, sent as they become due: over the websocket where one stands, else by request. Has a connection
//! of its own, so that heartbeats never wait for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rxon::WorkerId;
use rxon::id::random_uuid;
use rxon::model::{Event, EventAnswer, Generation, ProgressUpdate};
use rxon::secrets::masked;
use rxon::signing::{CannotBeSigned, EVENT_IGNORES};
use rxon::transport::{Operation, Request, Response, Transport};
use tokio::time::Instant;

use crate::execution::origin::Origin;
use crate::peer::answer::{Answer, Exchange};
use crate::peer::rate::RateGate;
use crate::task::progress::{Report, ReportContent};

/// Progress that takes longer is of no use: all tasks' results may wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// An event that could not be sent is tried once more after this time.
const SECOND_TRY: Duration = Duration::from_millis(500);

/// Sends progress and events for as long as it is polled.
pub(crate) async fn courier(origin: Arc<Origin>, worker_id: WorkerId) {
    let gate = origin.peer.gate(Exchange::Event).clone();
    let mut courier = Courier { origin, worker_id, transport: None, gate };
    loop {
        let report = courier.origin.progress.next().await;
        courier.deliver(&report).await;
        courier.origin.progress.sent(&report.task_id);
    }
}

struct Courier {
    origin: Arc<Origin>,
    worker_id: WorkerId,
    transport: Option<Box<dyn Transport>>,
    gate: RateGate,
}

impl Courier {
    async fn deliver(&mut self, report: &Report) {
        let is_event = matches!(report.content, ReportContent::Event(_));
        let event_id = random_uuid();
        if !self.origin.peer.generation().accepts_events() {
            return self.tell_the_older(report).await;
        }
        let mut is_unanswered = false;
        for is_last in [!is_event, true] {
            let frame = match self.event(report, &event_id) {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::warn!(task_id = %report.task_id.shown(), %error, "what the task tells cannot be signed");
                    return;
                }
            };
            if self.origin.peer.write_to_websocket(frame, TIME_LIMIT).await {
                return;
            }
            match self.request(report, &event_id, is_unanswered).await {
                Ok(response) if response.status == 429 => return self.pause(report),
                // Nothing was said to the first try, although it had arrived.
                Ok(response) if is_unanswered && is_repetition(&response) => {
                    return tracing::debug!(task_id = %report.task_id.shown(), "the orchestrator has the event already");
                }
                Ok(response) if is_last || !(500..600).contains(&response.status) => {
                    return say_refused(report, &response);
                }
                Err(error) if is_last => return say_lost(report, &error),
                tried => {
                    is_unanswered = tried.is_err();
                    tokio::time::sleep(SECOND_TRY).await;
                }
            }
        }
    }

    /// It knows progress only, and that over the websocket only.
    async fn tell_the_older(&mut self, report: &Report) {
        let ReportContent::Progress(progress) = &report.content else {
            return tracing::debug!(task_id = %report.task_id.shown(), "the orchestrator knows no events: not sent");
        };
        let frame = ProgressUpdate::new(&report.task_id, &report.job_id, progress);
        let frame = serde_json::to_vec(&frame).expect("ids, a number and a text always serialise");
        self.origin.peer.write_to_websocket(frame.into(), TIME_LIMIT).await;
    }

    /// Sends an event. `is_unanswered` is true if it was sent before, and no answer came.
    async fn request(
        &mut self,
        report: &Report,
        event_id: &str,
        is_unanswered: bool,
    ) -> Result<Response, String> {
        let body = self.event(report, event_id).map_err(|error| error.to_string())?;
        let connector = &self.origin.peer.connector;
        let transport = self.transport.get_or_insert_with(|| connector.transport());
        self.gate.on_sent(Instant::now(), true);
        if let Some(until) = self.gate.closed_until(Instant::now()) {
            // Meanwhile the newest of each task is kept, and results do not wait for it.
            self.origin.progress.pause(until);
        }
        let request = Request::new(Operation::Event, TIME_LIMIT).with_body(body);
        let response = transport.exchange(request).await;
        let answer = match &response {
            Ok(response) if is_unanswered && is_repetition(response) => Answer::Good,
            Ok(response) => Answer::of(response),
            Err(error) => Answer::Nothing(error),
        };
        // Events give the fleet no sign.
        let _ = self.origin.peer.record(Exchange::Event, &answer);
        response.map_err(|error| error.chain().to_string())
    }

    fn pause(&mut self, report: &Report) {
        // Before the pause: a task that ends says what it could not send.
        if matches!(report.content, ReportContent::Event(_)) {
            self.origin.progress.put_back(report.clone());
        }
        if let Some(until) = self.gate.closed_until(Instant::now()) {
            self.origin.progress.pause(until);
        }
    }

    /// The same event every time, freshly signed.
    fn event(&self, report: &Report, event_id: &str) -> Result<Bytes, CannotBeSigned> {
        let (event_type, payload, priority, trace_context) = match &report.content {
            ReportContent::Progress(progress) => {
                let payload = serde_json::value::to_raw_value(progress).expect("always serialises");
                (Event::PROGRESS.to_owned(), payload, 0.0, std::collections::BTreeMap::new())
            }
            ReportContent::Event(event) => {
                let event = event.clone();
                (event.event_type, event.payload, event.priority, event.trace_context)
            }
        };
        let event = Event {
            event_id: event_id.to_owned(),
            worker_id: self.worker_id.clone(),
            origin_worker_id: self.worker_id.clone(),
            event_type,
            payload,
            origin_task_id: Some(report.task_id.clone()),
            bubbling_chain: Vec::new(),
            target_job_id: Some(report.job_id.clone()),
            target_task_id: Some(report.task_id.clone()),
            trace_context,
            priority,
        };
        self.origin.peer.seal.message(&event, &EVENT_IGNORES, Generation::Newer)
    }
}

/// The newer orchestrator remembers the ids of events, and refuses a second one.
fn is_repetition(response: &Response) -> bool {
    response.status == 403 && response.error_text().to_ascii_lowercase().contains("duplicate message")
}

/// Events are worth a warning, progress is not.
fn say_refused(report: &Report, response: &Response) {
    let answer: Option<EventAnswer> = serde_json::from_slice(&response.body).ok();
    let refusal = answer.filter(|answer| answer.status == "error");
    let reason = match refusal {
        _ if !response.is_success() => format!("{}: {}", response.status, response.error_text()),
        Some(answer) => [answer.code, answer.message].into_iter().flatten().collect::<Vec<_>>().join(": "),
        None => return,
    };
    let reason = masked(&reason);
    match &report.content {
        ReportContent::Progress(_) => {
            tracing::debug!(task_id = %report.task_id.shown(), "the progress was refused: {reason}");
        }
        ReportContent::Event(event) => {
            let (task_id, event_type) = (report.task_id.shown(), &event.event_type);
            tracing::warn!(%task_id, event_type, "the orchestrator refused the event: {reason}");
        }
    }
}

fn say_lost(report: &Report, error: &str) {
    match &report.content {
        ReportContent::Progress(_) => {
            tracing::debug!(task_id = %report.task_id.shown(), error, "the progress could not be sent");
        }
        ReportContent::Event(event) => {
            let (task_id, event_type) = (report.task_id.shown(), &event.event_type);
            tracing::warn!(%task_id, event_type, error, "the event could not be sent, and is lost");
        }
    }
}
