//! Registration, heartbeats and progress: the control path's side of a conversation.
//!
//! What is done when is decided in [`state`](super::state); here it is carried out.

use std::time::Duration;

use fastrand::Rng;
use rxon::Error;
use rxon::model::{Capabilities, Generation, HeartbeatAnswer, Liveness, RegistrationAnswer, WorkerStatus};
use rxon::secrets::masked;
use rxon::text::excerpt;
use rxon::transport::{Operation, Request, Response, Transport};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::execution::Cause;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::rate::after_refused_credentials;
use crate::session::courier::courier;
use crate::session::fleet::Role;
use crate::session::heartbeat::heartbeat;
use crate::session::live::Websocket;
use crate::session::machine::Deadband;
use crate::session::namesake::Namesake;
use crate::session::parts::ConversationParts;
use crate::session::registration::registration;
use crate::session::state::{Beat, Conversation, Step};
use crate::threads::until;

/// Registrations and heartbeats are answered within this time.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// An orchestrator that has not answered the goodbye by then, connecting included, counts as unreachable.
const GOODBYE_TIME_LIMIT: Duration = Duration::from_secs(3);

/// A registration that is under way when the worker stops is given up after this time.
const LAST_REGISTRATION_LIMIT: Duration = Duration::from_secs(1);

/// Holds the conversation with one orchestrator.
pub(crate) struct Driver {
    parts: ConversationParts,
    transport: Box<dyn Transport>,
    state: Conversation,
    role: watch::Receiver<Role>,
    /// As sent with the last registration.
    capabilities: Option<Capabilities>,
    /// The orchestrator asked for the skills: the next heartbeat has them.
    wants_skills: bool,
    deadband: Deadband,
    namesake: Namesake,
    rng: Rng,
}

impl Driver {
    pub(crate) fn new(parts: ConversationParts) -> Self {
        let (session, settings) = (&parts.session, parts.settings);
        let transport = session.origin.peer.connector.transport();
        let mut role = session.orchestrators.role(session.origin.orchestrator);
        let first = *role.borrow_and_update();
        let state = Conversation::new(
            settings.heartbeat_interval,
            settings.max_registration_delay,
            first,
            session.origin.peer.gate(Exchange::Heartbeat).clone(),
            Instant::now(),
            Rng::new(),
        );
        let deadband = Deadband::new(settings.telemetry_deadband, settings.telemetry_force_interval);
        let namesake = Namesake::default();
        Self {
            parts,
            transport,
            state,
            role,
            capabilities: None,
            wants_skills: false,
            deadband,
            namesake,
            rng: Rng::new(),
        }
    }

    /// Runs until the worker closes.
    pub(crate) async fn run(mut self) {
        let parts = &self.parts;
        let closing = parts.ends.closing.clone();
        let courier = courier(parts.session.origin.clone(), parts.profile.worker_id.clone());
        let websocket = Websocket::new(parts.clone()).keep_open();
        let tokens = parts.session.tokens.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            // Progress goes on to the end, even when there is nobody to send heartbeats to.
            ((), (), (), ()) = async { tokio::join!(self.converse(), courier, websocket, tokens.keep()) } => {}
        }
    }

    async fn converse(&mut self) {
        loop {
            // Polls and results have connections of their own, and tell when one failed.
            if self.parts.session.origin.peer.take_doubt() {
                self.state.on_doubt();
            }
            // While an exchange was under way it may have been given another part.
            if self.role.has_changed().is_ok_and(|changed| changed) {
                self.state.on_role(*self.role.borrow_and_update(), Instant::now());
            }
            match self.state.next(Instant::now()) {
                Step::Register => self.register().await,
                Step::Beat { probe } => self.beat(probe).await,
                Step::SayGoodbye => self.say_goodbye().await,
                Step::LetGo => self.let_go(),
                Step::Wait { until } => self.wait(until).await,
                Step::End => return,
            }
        }
    }

    fn let_go(&self) {
        self.parts.ends.let_go.cancel();
        self.parts.session.origin.peer.goodbye.cancel();
    }

    /// Waits until something happens, at most until a time.
    async fn wait(&mut self, at: Instant) {
        let debounce = self.parts.settings.heartbeat_debounce;
        let known = self.state.is_known();
        let stopping = self.state.is_stopping();
        tokio::select! {
            biased;
            () = self.parts.ends.stop_asking.cancelled(), if !stopping => self.state.on_stop(),
            // Its sender lives as long as the worker.
            Ok(()) = self.role.changed() => self.state.on_role(*self.role.borrow_and_update(), Instant::now()),
            () = tokio::time::sleep_until(at) => {}
            () = self.parts.session.origin.peer.until_forgotten(), if known => {
                self.parts.session.origin.peer.set_unregistered();
                self.state.on_forgotten(Instant::now());
            }
            () = self.parts.changes.settled(OrchestratorIndex(self.parts.session.origin.orchestrator), debounce), if known => {
                self.parts.changes.reported(OrchestratorIndex(self.parts.session.origin.orchestrator));
                self.state.on_change();
            }
            () = self.parts.session.settled(&self.parts.running), if self.state.is_left() => {
                self.parts.session.origin.peer.set_unregistered();
                self.state.on_settled();
            }
        }
    }

    /// One attempt to register. When the worker stops meanwhile it is soon given up: but whoever accepts it until then
    /// is told that the worker takes nothing, and does not dispatch to one that is gone.
    async fn register(&mut self) {
        let stop = self.parts.ends.stop_asking.clone();
        let given_up = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REGISTRATION_LIMIT).await;
        };
        let attempt = tokio::select! {
            biased;
            attempt = self.try_register() => attempt,
            () = given_up => return self.state.on_stop(),
        };
        let now = Instant::now();
        match attempt {
            Ok(generation) => {
                let role = *self.role.borrow_and_update();
                self.state.on_registered(generation, role, now);
            }
            Err(delay) => self.state.on_not_registered(delay, now),
        }
        if self.parts.ends.stop_asking.is_cancelled() {
            self.state.on_stop();
        }
    }

    /// When it fails, perhaps with the delay before the next.
    async fn try_register(&mut self) -> Result<Generation, Option<Duration>> {
        let peer = self.parts.session.origin.peer.clone();
        self.parts.offer.refresh().await;
        // For the registration to know the memory, and for the load to have a beginning.
        self.parts.profile.machine.usage().await;
        let message = registration(&self.parts.profile, &self.parts.offer);
        self.capabilities = Some(message.capabilities.clone());
        let body = peer.seal.message(&message, &[], Generation::Older).map_err(|error| {
            tracing::error!(orchestrator = %peer.name, %error, "the registration cannot be written");
            None
        })?;
        let request = Request::new(Operation::Register, TIME_LIMIT).with_body(body);
        let response = self.transport.exchange(request).await;
        let (answer, accepted) = read_registration(&response);
        self.parts.session.record(Exchange::Registration, &answer);
        match (answer, accepted) {
            (Answer::Good, Some(accepted)) => {
                self.accepted(&accepted);
                Ok(accepted.generation())
            }
            (Answer::Unauthorized(_), _) => Err(Some(after_refused_credentials(&mut self.rng))),
            (Answer::TooMany(_), _) => Err(Some(peer.gate(Exchange::Registration).silence(Instant::now()))),
            _ => Err(None),
        }
    }

    fn accepted(&mut self, answer: &RegistrationAnswer) {
        let peer = &self.parts.session.origin.peer;
        // 1.0b2 does not say.
        let version = answer.version.as_deref().map(excerpt);
        tracing::info!(orchestrator = %peer.name, version, worker_id = %self.parts.profile.worker_id, "registered");
        if let Some(warning) = &answer.warning {
            let warning = excerpt(warning);
            tracing::warn!(orchestrator = %peer.name, "the orchestrator says: {warning}");
        }
        let again = peer.was_registered();
        peer.set_registered(answer.generation());
        if self.parts.session.orchestrators.registered(self.parts.session.origin.orchestrator) || again {
            self.parts.session.origin.delivery.offer_all(false);
        }
    }

    /// One heartbeat. One that hangs delays neither the news that the worker stops nor the end of its polls.
    async fn beat(&mut self, probe: bool) {
        self.parts.changes.reported(OrchestratorIndex(self.parts.session.origin.orchestrator));
        let (stop, let_go) = (self.parts.ends.stop_asking.clone(), self.parts.ends.let_go.clone());
        let stopping = self.state.is_stopping();
        let mut let_go_at = self.state.let_go_at();
        let beat = {
            let mut exchange = std::pin::pin!(self.exchange(probe));
            loop {
                tokio::select! {
                    biased;
                    beat = &mut exchange => break Some(beat),
                    () = stop.cancelled(), if !stopping => break None,
                    () = until(let_go_at) => {
                        let_go_at = None;
                        let_go.cancel();
                    }
                }
            }
        };
        match beat {
            Some(beat) => self.on_beat(beat),
            None => self.state.on_stop(),
        }
    }

    fn on_beat(&mut self, beat: Beat) {
        let session = &self.parts.session;
        let peer = &session.origin.peer;
        if beat == Beat::Forgotten && !self.parts.ends.stop_asking.is_cancelled() {
            if session.orchestrators.is_active(session.origin.orchestrator) {
                // Orchestrators that keep everything in memory do so when they are restarted.
                tracing::info!(orchestrator = %peer.name, "the orchestrator has forgotten this worker: registering again");
            }
            peer.set_unregistered();
        }
        self.state.on_beat(beat, Instant::now());
    }

    async fn exchange(&mut self, probe: bool) -> Beat {
        if probe {
            let idle =
                !self.parts.session.accepted(&self.parts.offer, &self.parts.offer.slots.usage()).is_empty();
            let known = self.send(Request::new(Operation::Heartbeat, TIME_LIMIT), idle).await;
            let known = known.unwrap_or_else(|error| self.on_no_answer(&error));
            if known != Beat::Acknowledged {
                return known;
            }
        }
        let told = self.tell().await;
        told.unwrap_or_else(|error| self.on_no_answer(&error))
    }

    /// Tells that the worker takes nothing more. No question first whether it is known: that would delay the news.
    async fn say_goodbye(&mut self) {
        self.parts.changes.reported(OrchestratorIndex(self.parts.session.origin.orchestrator));
        let goodbye = async {
            match self.tell().await {
                // The peer closed an idle connection just then: it is there, and still thinks us idle.
                Err(error) if error.is_stale_connection() => self.tell().await,
                told => told,
            }
        };
        let beat = match tokio::time::timeout(GOODBYE_TIME_LIMIT, goodbye).await {
            Ok(Ok(beat)) => beat,
            Ok(Err(error)) => self.on_no_answer(&error),
            Err(_) => Beat::Unreachable,
        };
        self.state.on_goodbye(beat, self.parts.ends.await_polls.is_cancelled(), Instant::now());
        self.parts.session.origin.peer.goodbye.cancel();
    }

    /// Tells how the worker is now.
    async fn tell(&mut self) -> Result<Beat, Error> {
        let peer = self.parts.session.origin.peer.clone();
        let generation = peer.generation();
        self.parts.offer.refresh().await;
        let machine =
            if generation.reads_skills_and_usage() { self.parts.profile.machine.usage().await } else { None };
        let machine = machine.filter(|usage| self.deadband.is_due(usage, Instant::now()));
        let ConversationParts { session, profile, offer, running, .. } = &self.parts;
        let capabilities = self.capabilities.as_ref();
        let wants_skills = self.wants_skills;
        let message =
            heartbeat(profile, offer, running, session, machine.clone(), capabilities, wants_skills);
        let idle = message.status == WorkerStatus::Idle;
        self.namesake.told(message.current_tasks.clone());
        match peer.seal.message(&message, &[], generation) {
            Ok(body) => {
                if wants_skills {
                    self.wants_skills = false;
                }
                let beat =
                    self.send(Request::new(Operation::Heartbeat, TIME_LIMIT).with_body(body), idle).await;
                match (&beat, machine) {
                    (Ok(Beat::Acknowledged), Some(usage)) => self.deadband.accepted(usage, Instant::now()),
                    (Ok(Beat::Acknowledged), None) => {}
                    _ => self.deadband.forget(),
                }
                beat
            }
            Err(error) => {
                tracing::error!(orchestrator = %peer.name, %error, "the heartbeat cannot be signed");
                Ok(Beat::Refused)
            }
        }
    }

    async fn send(&mut self, request: Request, idle: bool) -> Result<Beat, Error> {
        self.state.on_sent(Instant::now(), idle);
        let response = self.transport.exchange(request).await?;
        Ok(self.read(&response))
    }

    fn on_no_answer(&mut self, error: &Error) -> Beat {
        self.parts.session.record(Exchange::Heartbeat, &Answer::Nothing(error));
        // An orchestrator that hung up was there.
        match Contact::of_error(error, Exchange::Heartbeat) {
            Contact::Gone => Beat::Unreachable,
            Contact::Well | Contact::Failed => Beat::Refused,
        }
    }

    fn read(&mut self, response: &Response) -> Beat {
        let (answer, known) = read_heartbeat(response);
        self.parts.session.record(Exchange::Heartbeat, &answer);
        match (answer, known) {
            (Answer::Good, Some(known)) => {
                self.obey(&known);
                Beat::Acknowledged
            }
            (Answer::Unknown(_), _) => Beat::Forgotten,
            (Answer::TooMany(_), _) => Beat::TooMany,
            _ => Beat::Refused,
        }
    }

    fn obey(&mut self, answer: &HeartbeatAnswer) {
        let orchestrator = &self.parts.session.origin.peer.name;
        let runs = |id: &str| self.parts.running.knows(self.parts.session.origin.orchestrator, id);
        if let Some(task_id) = self.namesake.heard(&answer.current_tasks, runs) {
            let task_id = &*masked(task_id);
            tracing::warn!(
                %orchestrator, worker_id = %self.parts.profile.worker_id, task_id,
                "the orchestrator says that this worker runs tasks that it does not run: two live workers seem to \
                 share one `WORKER_ID`; give each its own"
            );
        }
        if answer.require_full_sync {
            self.wants_skills = true;
            self.parts.changes.on_change();
        }
        for id in &answer.cancel_task_ids {
            let known =
                self.parts.running.cancel(self.parts.session.origin.orchestrator, id, &Cause::Command);
            tracing::info!(%orchestrator, id = &*masked(id), known, "told to cancel");
        }
    }
}

/// Reads the answer to a registration; a good one has fields.
fn read_registration(response: &Result<Response, Error>) -> (Answer<'_>, Option<RegistrationAnswer>) {
    let answer = response.as_ref().map_or_else(Answer::Nothing, Answer::of);
    match (answer, response) {
        (Answer::Good, Ok(response)) => match serde_json::from_slice(&response.body) {
            Ok(fields) => (Answer::Good, Some(fields)),
            Err(_) => (Answer::unreadable(response), None),
        },
        (answer, _) => (answer, None),
    }
}

/// Reads the answer to a heartbeat; a good one has fields.
fn read_heartbeat(response: &Response) -> (Answer<'_>, Option<HeartbeatAnswer>) {
    match Answer::of(response) {
        Answer::Good => match Liveness::read(&response.body) {
            Liveness::Known(fields) => (Answer::Good, Some(fields)),
            Liveness::Forgotten => (Answer::Unknown(response), None),
            Liveness::Unreadable => (Answer::unreadable(response), None),
        },
        answer => (answer, None),
    }
}
