//! Registration, heartbeats and progress: the control path's side of a conversation.
//!
//! ```text
//! register, until accepted -> heartbeats -> (forgotten) -> register
//!                                        -> (shutdown)  -> busy, heartbeats to the end
//! ```

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use rxon::id::random_uuid;
use rxon::model::{Event, Generation, HeartbeatAnswer, Liveness, Progress, RegistrationAnswer, WorkerStatus};
use rxon::signing::EVENT_IGNORES;
use rxon::transport::{Operation, Request, Response, Transport};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::heartbeat::heartbeat;
use super::rate::RateGate;
use super::registration::registration;
use super::{Asked, Session};
use crate::config::MultiOrchestratorMode;
use crate::core::Core;
use crate::execution::Cause;
use crate::pace::{after_refused_credentials, after_too_many_requests, until};
use crate::progress::Report;

/// Registrations, heartbeats and events are answered within this time.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Once an orchestrator knows that the worker is busy it dispatches nothing more; what it dispatched before has
/// arrived by then.
const LET_GO_DELAY: Duration = Duration::from_secs(1);

/// What ends a conversation, and the polls that belong to it.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// No further poll is started.
    pub(crate) stop_asking: CancellationToken,
    /// Open polls are abandoned.
    pub(crate) let_go: CancellationToken,
    /// Open polls are awaited to the end, because a successor could lose a task to one that is abandoned.
    pub(crate) await_polls: CancellationToken,
}

/// Holds the conversation with one orchestrator.
pub(crate) struct Driver {
    core: Arc<Core>,
    session: Arc<Session>,
    ends: Ends,
    transport: Box<dyn Transport>,
    gate: RateGate,
    heartbeats: u64,
    rng: Rng,
}

/// What came of a heartbeat.
#[derive(Debug, PartialEq, Eq)]
enum Beat {
    Acknowledged,
    Forgotten,
    Refused,
    Unreachable,
}

impl Driver {
    pub(crate) fn new(core: Arc<Core>, session: Arc<Session>, ends: Ends) -> Self {
        let transport = session.peer.connector.transport();
        Self { core, session, ends, transport, gate: RateGate::default(), heartbeats: 0, rng: Rng::new() }
    }

    /// Runs until the worker closes.
    pub(crate) async fn run(mut self) {
        let courier = courier(self.core.clone(), self.session.clone());
        let closing = self.core.closing.clone();
        let conversation = async {
            while self.register().await {
                self.converse().await;
                if self.ends.stop_asking.is_cancelled() {
                    break;
                }
            }
        };
        tokio::select! {
            () = conversation => {}
            () = courier => {}
            () = closing.cancelled() => {}
        }
    }

    /// Registers, however long it takes. False when the worker stops before it was accepted.
    async fn register(&mut self) -> bool {
        // One that others may stand in for is looked for more often.
        let longest = match self.core.config.multi_orchestrator_mode {
            MultiOrchestratorMode::Failover => Duration::from_secs(10),
            _ => Duration::from_secs(60),
        };
        let mut backoff = Backoff::new(Duration::from_secs(1), longest, Jitter::Full);
        let stop = self.ends.stop_asking.clone();
        loop {
            let delay = tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                attempt = self.try_register() => match attempt {
                    Ok(()) => return true,
                    Err(Some(delay)) => delay,
                    Err(None) => backoff.next(&mut self.rng),
                },
            };
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// One attempt; when it fails, perhaps with the delay before the next.
    async fn try_register(&mut self) -> Result<(), Option<Duration>> {
        let peer = &self.session.peer;
        let message = registration(&self.core);
        let body = peer.seal.message(&message, &[], Generation::Older).map_err(|error| {
            tracing::error!(orchestrator = %peer.name, %error, "the registration cannot be written");
            None
        })?;
        let request = Request::new(Operation::Register, TIME_LIMIT).with_body(body);
        let response = self.transport.exchange(request).await.map_err(|error| {
            peer.log.failed(Asked::Registration, &error.chain());
            None
        })?;
        if response.is_unauthorized() {
            peer.log.refused(Asked::Registration, &response);
            return Err(Some(after_refused_credentials(&mut self.rng)));
        }
        if response.status == 429 {
            peer.log.failed(Asked::Registration, &"429, too many requests");
            return Err(Some(after_too_many_requests(response.retry_after, &mut self.rng)));
        }
        let answer = serde_json::from_slice::<RegistrationAnswer>(&response.body);
        match (response.is_success(), answer) {
            (true, Ok(answer)) => {
                self.accepted(&answer);
                Ok(())
            }
            (true, Err(_)) => {
                peer.log.failed(
                    Asked::Registration,
                    &format!("{}, not JSON: `{}`", response.status, response.excerpt()),
                );
                Err(None)
            }
            _ => {
                peer.log
                    .failed(Asked::Registration, &format!("{}: {}", response.status, response.error_text()));
                Err(None)
            }
        }
    }

    fn accepted(&mut self, answer: &RegistrationAnswer) {
        let peer = &self.session.peer;
        peer.log.answered(Asked::Registration);
        let version = answer.version.as_deref().unwrap_or("1.0b2 or so");
        tracing::info!(orchestrator = %peer.name, version, worker_id = %self.core.worker_id, "registered");
        if let Some(warning) = &answer.warning {
            tracing::warn!(orchestrator = %peer.name, "the orchestrator says: {warning}");
        }
        peer.take_connection_failed();
        self.heartbeats = 0;
        let back = peer.is_registered();
        peer.registered(answer.generation());
        // The first time nothing can wait yet, but for what the data path sends and gets refused at this moment.
        if back {
            self.session.delivery.offer_all(false);
        }
    }

    /// Sends heartbeats until the orchestrator has forgotten the worker.
    async fn converse(&mut self) {
        let interval = self.core.config.heartbeat_interval;
        let debounce = self.core.config.worker_heartbeat_debounce_delay;
        let (core, session) = (self.core.clone(), self.session.clone());
        let stop = self.ends.stop_asking.clone();
        let mut tick = Instant::now();
        let mut said_goodbye = false;
        let mut let_go_at: Option<Instant> = None;
        loop {
            let goodbye = tokio::select! {
                biased;
                () = stop.cancelled(), if !said_goodbye => true,
                () = until(let_go_at) => {
                    let_go_at = None;
                    self.ends.let_go.cancel();
                    continue;
                }
                () = session.peer.forgotten(), if !said_goodbye => return,
                () = core.changes.settled(debounce) => false,
                () = tokio::time::sleep_until(tick) => {
                    // A slow answer makes no burst of late heartbeats.
                    while tick <= Instant::now() {
                        tick += interval;
                    }
                    false
                }
            };
            core.changes.told();
            if goodbye {
                said_goodbye = true;
                let_go_at = self.say_goodbye().await;
                continue;
            }
            if self.gate.closed_until(Instant::now()).is_some() {
                continue;
            }
            let beat = tokio::select! {
                biased;
                beat = self.beat() => beat,
                // One that hangs must not delay the news that the worker stops.
                () = stop.cancelled(), if !said_goodbye => continue,
            };
            if beat == Beat::Forgotten && !said_goodbye && !stop.is_cancelled() {
                tracing::warn!(orchestrator = %session.peer.name, "the orchestrator has forgotten this worker: registering again");
                return;
            }
        }
    }

    /// Tells that the worker takes nothing more; gives the time at which open polls may be let go.
    async fn say_goodbye(&mut self) -> Option<Instant> {
        // No question first whether the worker is known: that would delay the news, or be refused in its place.
        let beat = self.tell().await;
        if self.ends.await_polls.is_cancelled() {
            return None;
        }
        match beat {
            // A stranger to it is dispatched nothing.
            Beat::Acknowledged | Beat::Forgotten => Some(Instant::now() + LET_GO_DELAY),
            // Who cannot be reached cannot dispatch, and holds nothing up.
            Beat::Unreachable => Some(Instant::now()),
            Beat::Refused => None,
        }
    }

    /// One heartbeat; towards the newer generation every second one asks first whether the worker is known.
    async fn beat(&mut self) -> Beat {
        self.heartbeats += 1;
        let lost = self.session.peer.take_connection_failed();
        let newer = self.session.peer.generation() == Generation::Newer;
        if newer && (lost || self.heartbeats.is_multiple_of(2)) {
            let idle = !self.core.accepted(&self.core.slots.usage()).is_empty();
            let probe = self.send(Request::new(Operation::Heartbeat, TIME_LIMIT), idle).await;
            if probe != Beat::Acknowledged {
                return probe;
            }
        }
        self.tell().await
    }

    /// Tells how the worker is now.
    async fn tell(&mut self) -> Beat {
        let session = self.session.clone();
        let peer = &session.peer;
        let generation = peer.generation();
        let message = heartbeat(&self.core, &peer.name, generation);
        let idle = message.status == WorkerStatus::Idle;
        match peer.seal.message(&message, &[], generation) {
            Ok(body) => self.send(Request::new(Operation::Heartbeat, TIME_LIMIT).with_body(body), idle).await,
            Err(error) => {
                tracing::error!(orchestrator = %peer.name, %error, "the heartbeat cannot be signed");
                Beat::Refused
            }
        }
    }

    async fn send(&mut self, request: Request, idle: bool) -> Beat {
        let peer = self.session.peer.clone();
        // Silence hides what the worker can take: it begins at a moment when `idle` was reported last.
        self.gate.on_sent(Instant::now(), idle, &mut self.rng);
        match self.transport.exchange(request).await {
            Ok(response) => self.heard(&response),
            Err(error) => {
                peer.connection_failed();
                peer.log.failed(Asked::Heartbeat, &error.chain());
                Beat::Unreachable
            }
        }
    }

    fn heard(&mut self, response: &Response) -> Beat {
        let peer = &self.session.peer;
        if response.is_success() {
            return match Liveness::read(&response.body) {
                Liveness::Known(answer) => {
                    peer.log.answered(Asked::Heartbeat);
                    self.obey(&answer);
                    Beat::Acknowledged
                }
                Liveness::Forgotten => Beat::Forgotten,
                Liveness::Unreadable => {
                    let excerpt = response.excerpt();
                    peer.log.failed(Asked::Heartbeat, &format!("{}, not JSON: `{excerpt}`", response.status));
                    Beat::Refused
                }
            };
        }
        match response.status {
            404 => return Beat::Forgotten,
            429 => {
                if self.gate.on_refused(Instant::now(), response.retry_after, &mut self.rng) {
                    super::say_rate_limited(&peer.name, "heartbeats");
                }
            }
            401 | 403 => peer.log.refused(Asked::Heartbeat, response),
            status => peer.log.failed(Asked::Heartbeat, &format!("{status}: {}", response.error_text())),
        }
        Beat::Refused
    }

    fn obey(&self, answer: &HeartbeatAnswer) {
        let orchestrator = &self.session.peer.name;
        for id in &answer.cancel_task_ids {
            let known = self.core.running.cancel(orchestrator, id, &Cause::Command);
            tracing::info!(%orchestrator, id, known, "told to cancel");
        }
    }
}

/// Sends progress as it becomes due. Has a connection of its own, so that heartbeats never wait for it.
async fn courier(core: Arc<Core>, session: Arc<Session>) {
    let mut transport: Option<Box<dyn Transport>> = None;
    loop {
        let report = session.progress.next().await;
        let transport = transport.get_or_insert_with(|| session.peer.connector.transport());
        send_progress(&core, &session, &mut **transport, &report).await;
        session.progress.sent(&report.task_id);
    }
}

async fn send_progress(core: &Core, session: &Session, transport: &mut dyn Transport, report: &Report) {
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
            return;
        }
    };
    match transport.exchange(Request::new(Operation::Event, TIME_LIMIT).with_body(body)).await {
        Ok(response) if response.is_success() => {}
        Ok(response) => {
            let reason = format!("{}: {}", response.status, response.error_text());
            tracing::debug!(task_id = %report.task_id, reason, "the progress was refused");
        }
        Err(error) => {
            tracing::debug!(task_id = %report.task_id, error = %error.chain(), "the progress could not be sent");
        }
    }
}
