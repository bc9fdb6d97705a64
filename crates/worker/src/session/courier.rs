//! Delivery of progress and events as they become due: over an open websocket, else by request. The courier has a
//! connection of its own, so that heartbeats never wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rxon::WorkerId;
use rxon::id::random_uuid;
use rxon::model::{Event, EventAnswer, Generation, ProgressUpdate};
use rxon::secrets::masked;
use rxon::signing::{CannotBeSigned, EVENT_IGNORES, unix_seconds};
use rxon::transport::{Operation, Request, Response, Transport};
use tokio::time::Instant;

use crate::execution::Origin;
use crate::peer::answer::{Answer, Exchange};
use crate::task::events::EventOptions;
use crate::task::progress::{NewEvent, Report, ReportContent};
use crate::task::ready_made::ReadyMadeEvent;

/// The time limit of a delivery: short, since the results of all tasks may wait for it.
const TIME_LIMIT: Duration = Duration::from_millis(1500);

/// An exchange that took this long without an answer makes a pause: results do not wait for reports that hang.
const HUNG_AFTER: Duration = Duration::from_secs(1);

/// The pause of all reports after an exchange that hung.
const HUNG_PAUSE: Duration = Duration::from_secs(5);

/// The delay before the second and last try to send an event.
const SECOND_TRY: Duration = Duration::from_millis(500);

/// Sends progress and events for as long as it is polled.
pub(crate) async fn courier(origin: Arc<Origin>, worker_id: WorkerId) {
    let mut courier = Courier { origin, worker_id, transport: None };
    let origin = courier.origin.clone();
    loop {
        tokio::select! {
            biased;
            report = origin.progress.next() => {
                courier.deliver(&report).await;
                origin.progress.sent(&report.task_id);
            }
            event = origin.progress.next_ready_made() => courier.deliver_ready_made(event).await,
        }
    }
}

struct Courier {
    origin: Arc<Origin>,
    worker_id: WorkerId,
    transport: Option<Box<dyn Transport>>,
}

impl Courier {
    async fn deliver(&mut self, report: &Report) {
        let is_event = matches!(report.content, ReportContent::Event(_));
        let event_id = random_uuid();
        if !self.origin.peer.generation().accepts_events() {
            return self.deliver_to_older(report).await;
        }
        let mut is_unanswered = false;
        for is_last in [!is_event, true] {
            let frame = match self.event(report, &event_id) {
                Ok(frame) => frame,
                Err(error) => return log_problem(report, &format!("the event cannot be signed: {error}")),
            };
            if self.origin.peer.write_to_websocket(frame, TIME_LIMIT).await {
                return;
            }
            match self.request(report, &event_id, is_unanswered).await {
                Ok(response) if response.status == 429 => return self.pause(report),
                // The first try had arrived, although it was not answered.
                Ok(response) if is_unanswered && is_repetition(&response) => {
                    return tracing::debug!(task_id = %report.task_id.shown(), "the orchestrator has the event already");
                }
                Ok(response) if is_last || !is_temporary(&response) => {
                    if let Some(reason) = refusal(&response) {
                        let reason = masked(&reason);
                        log_problem(report, &format!("the orchestrator refused the event: {reason}"));
                    }
                    return;
                }
                Err(error) if is_last => {
                    let problem = format!("the event could not be sent, and is lost: {error}");
                    return log_problem(report, &problem);
                }
                tried => {
                    is_unanswered = tried.is_err();
                    tokio::time::sleep(SECOND_TRY).await;
                }
            }
        }
    }

    /// Delivers to an orchestrator of the older generation, which accepts progress only, over the websocket only.
    async fn deliver_to_older(&mut self, report: &Report) {
        let ReportContent::Progress(progress) = &report.content else {
            return tracing::debug!(task_id = %report.task_id.shown(), "the orchestrator knows no events: not sent");
        };
        let frame = ProgressUpdate::new(&report.task_id, &report.job_id, progress);
        let frame = serde_json::to_vec(&frame).expect("ids, a number and a text always serialise");
        self.origin.peer.write_to_websocket(frame.into(), TIME_LIMIT).await;
    }

    /// Sends a report by request. `is_unanswered` is true if it was sent before and no answer came.
    async fn request(
        &mut self,
        report: &Report,
        event_id: &str,
        is_unanswered: bool,
    ) -> Result<Response, String> {
        let body = self.event(report, event_id).map_err(|error| error.to_string())?;
        let is_signed =
            matches!(&report.content, ReportContent::Event(event) if event.options.security.is_some());
        self.post(body, is_signed, is_unanswered).await
    }

    /// Sends an event that the user made, once: signed by the worker, unless the user has signed it.
    async fn deliver_ready_made(&mut self, event: ReadyMadeEvent) {
        if let Err(problem) = self.try_ready_made(event).await {
            let (orchestrator, problem) = (&self.origin.peer.name, masked(&problem));
            tracing::warn!(%orchestrator, "an event of the worker was not delivered: {problem}");
        }
    }

    async fn try_ready_made(
        &mut self,
        ReadyMadeEvent { body, is_signed }: ReadyMadeEvent,
    ) -> Result<(), String> {
        let peer = self.origin.peer.clone();
        let sealed = || {
            if is_signed {
                return Ok(body.clone());
            }
            let sealed = peer.seal.text(&body, &EVENT_IGNORES, Generation::Newer);
            sealed.map_err(|error| format!("it cannot be signed: {error}"))
        };
        if peer.write_to_websocket(sealed()?, TIME_LIMIT).await {
            return Ok(());
        }
        // Sealed again, since the websocket may have sent the first one.
        let response = self.post(sealed()?, is_signed, false).await?;
        self.keep_silence();
        refusal(&response).map_or(Ok(()), Err)
    }

    /// Sends the body of an event by request. `is_signed` is true if it was signed elsewhere.
    async fn post(&mut self, body: Bytes, is_signed: bool, is_unanswered: bool) -> Result<Response, String> {
        self.origin.peer.gate(Exchange::Event).on_sent(Instant::now(), true);
        self.keep_silence();
        let connector = &self.origin.peer.connector;
        let transport = self.transport.get_or_insert_with(|| connector.transport());
        let request = Request::new(Operation::Event, TIME_LIMIT);
        let request = if is_signed { request.with_ready_made(body) } else { request.with_body(body) };
        let began = Instant::now();
        let response = transport.exchange(request).await;
        if response.is_err() && began.elapsed() >= HUNG_AFTER {
            self.origin.progress.pause(Instant::now() + HUNG_PAUSE);
        }
        let answer = match &response {
            Ok(response) if is_unanswered && is_repetition(response) => Answer::Good,
            Ok(response) => Answer::of_consent(response),
            Err(error) => Answer::Nothing(error),
        };
        // Events are not contacts.
        drop(self.origin.peer.record(Exchange::Event, &answer));
        response.map_err(|error| error.chain().to_string())
    }

    fn pause(&self, report: &Report) {
        // Before the pause: a task that ends during it logs the events that were not sent.
        if matches!(report.content, ReportContent::Event(_)) {
            self.origin.progress.put_back(report.clone());
        }
        self.keep_silence();
    }

    /// Pauses reports while the rate gate is closed. Only the newest progress of each task is kept meanwhile, and results
    /// do not wait for it.
    fn keep_silence(&self) {
        if let Some(until) = self.origin.peer.gate(Exchange::Event).closed_until(Instant::now()) {
            self.origin.progress.pause(until);
        }
    }

    /// The event with this id, freshly signed.
    fn event(&self, report: &Report, event_id: &str) -> Result<Bytes, CannotBeSigned> {
        let NewEvent { event_type, payload, trace_context, options } = match &report.content {
            ReportContent::Progress(progress) => NewEvent {
                event_type: Event::PROGRESS.to_owned(),
                payload: serde_json::value::to_raw_value(progress).expect("always serialises"),
                trace_context: BTreeMap::new(),
                options: EventOptions::default(),
            },
            ReportContent::Event(event) => (**event).clone(),
        };
        let event = Event {
            event_id: event_id.to_owned(),
            worker_id: self.worker_id.clone(),
            origin_worker_id: options.origin_worker_id.unwrap_or_else(|| self.worker_id.clone()),
            event_type,
            payload,
            origin_task_id: Some(report.task_id.clone()),
            bubbling_chain: Vec::new(),
            target_job_id: Some(report.job_id.clone()),
            target_task_id: Some(report.task_id.clone()),
            trace_context,
            priority: options.priority,
            metadata: options.metadata,
            timestamp: options.security.is_some().then(unix_seconds),
            security: options.security,
        };
        if event.security.is_some() {
            return serde_json::to_vec(&event)
                .map(Bytes::from)
                .map_err(|error| CannotBeSigned::NotAnObject(error.to_string()));
        }
        self.origin.peer.seal.message(&event, &EVENT_IGNORES, Generation::Newer)
    }
}

/// Whether a response says that the event was received before: the newer generation remembers their ids.
fn is_repetition(response: &Response) -> bool {
    response.status == 403 && response.error_text().to_ascii_lowercase().contains("duplicate message")
}

/// Whether an event that was answered like this is sent once more.
fn is_temporary(response: &Response) -> bool {
    (500..600).contains(&response.status) || matches!(Answer::of(response), Answer::Foreign(_))
}

/// The reason for which the orchestrator refused an event; `None` if it accepted the event.
fn refusal(response: &Response) -> Option<String> {
    let answer = Answer::of(response);
    if !matches!(answer, Answer::Good) {
        return Some(answer.reason());
    }
    let answer: EventAnswer = serde_json::from_slice(&response.body).ok()?;
    (answer.status == "error")
        .then(|| [answer.code, answer.message].into_iter().flatten().collect::<Vec<_>>().join(": "))
}

/// Logs that a report was not delivered: an event is worth a warning, progress is not.
fn log_problem(report: &Report, problem: &str) {
    let task_id = report.task_id.shown();
    match &report.content {
        ReportContent::Progress(_) => tracing::debug!(%task_id, "progress was not delivered: {problem}"),
        ReportContent::Event(event) => tracing::warn!(%task_id, event_type = event.event_type, "{problem}"),
    }
}
