//! Registration, heartbeats and progress: the control path's side of a conversation.
//!
//! What is done when is decided in [`state`](super::state); here it is carried out.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rxon::Error;
use rxon::model::{Generation, HeartbeatAnswer, Liveness, RegistrationAnswer, WorkerStatus};
use rxon::secrets::masked;
use rxon::transport::{Operation, Request, Response, Transport, excerpt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::courier::courier;
use super::heartbeat::heartbeat;
use super::live::live;
use super::namesake::Namesake;
use super::registration::registration;
use super::state::{Beat, Conversation, Step};
use crate::config::MultiOrchestratorMode;
use crate::core::Core;
use crate::execution::Cause;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::rate::after_refused_credentials;
use crate::session::fleet::Role;
use crate::session::machine::Deadband;
use crate::threads::until;

/// Registrations and heartbeats are answered within this time.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// An orchestrator that has not answered the goodbye by then, connecting included, counts as unreachable.
const GOODBYE_TIME_LIMIT: Duration = Duration::from_secs(3);

/// A registration that is under way when the worker stops is given up after this time.
const LAST_REGISTRATION_LIMIT: Duration = Duration::from_secs(1);

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

impl Ends {
    /// Those of one conversation among several: it lets go of its own polls when its orchestrator knows.
    pub(crate) fn of_one(&self) -> Self {
        Self { let_go: self.let_go.child_token(), ..self.clone() }
    }
}

/// Holds the conversation with one orchestrator.
pub(crate) struct Driver {
    core: Arc<Core>,
    session: Arc<Session>,
    ends: Ends,
    transport: Box<dyn Transport>,
    state: Conversation,
    role: watch::Receiver<Role>,
    deadband: Deadband,
    namesake: Namesake,
    rng: Rng,
}

impl Driver {
    pub(crate) fn new(core: Arc<Core>, session: Arc<Session>, ends: Ends) -> Self {
        let transport = session.peer.connector.transport();
        // One that others may stand in for is looked for more often.
        let longest = match core.config.multi_orchestrator_mode {
            MultiOrchestratorMode::Failover => Duration::from_secs(10),
            _ => Duration::from_secs(60),
        };
        let mut role = core.orchestrators.role(session.who);
        let first = *role.borrow_and_update();
        let interval = core.config.heartbeat_interval;
        let gate = session.peer.gate(Exchange::Heartbeat).clone();
        let state = Conversation::new(interval, longest, first, gate, Instant::now(), Rng::new());
        let config = &core.config;
        let deadband =
            Deadband::new(config.worker_telemetry_deadband, config.worker_telemetry_force_interval);
        let namesake = Namesake::default();
        Self { core, session, ends, transport, state, role, deadband, namesake, rng: Rng::new() }
    }

    /// Runs until the worker closes.
    pub(crate) async fn run(mut self) {
        let closing = self.core.closing.clone();
        let courier = courier(self.core.clone(), self.session.clone());
        let live = live(self.core.clone(), self.session.clone());
        let tokens = self.session.tokens.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            // Progress goes on to the end, even when there is nobody to send heartbeats to.
            ((), (), (), ()) = async { tokio::join!(self.converse(), courier, live, tokens.keep()) } => {}
        }
    }

    async fn converse(&mut self) {
        loop {
            // Polls and results have connections of their own, and tell when one failed.
            if self.session.peer.take_doubt() {
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
        self.ends.let_go.cancel();
        self.session.peer.end_goodbye();
    }

    /// Waits until something happens, at most until a time.
    async fn wait(&mut self, at: Instant) {
        let debounce = self.core.config.worker_heartbeat_debounce_delay;
        let known = self.state.is_known();
        let stopping = self.state.is_stopping();
        tokio::select! {
            biased;
            () = self.ends.stop_asking.cancelled(), if !stopping => self.state.on_stop(),
            // Its sender lives as long as the worker.
            Ok(()) = self.role.changed() => self.state.on_role(*self.role.borrow_and_update(), Instant::now()),
            () = tokio::time::sleep_until(at) => {}
            () = self.session.peer.until_forgotten(), if known => {
                self.session.peer.set_unregistered();
                self.state.on_forgotten(Instant::now());
            }
            () = self.core.changes.settled(self.session.who, debounce), if known => {
                self.core.changes.told(self.session.who);
                self.state.on_change();
            }
            () = self.session.settled(&self.core.running), if self.state.is_left() => {
                self.session.peer.set_unregistered();
                self.state.on_settled();
            }
        }
    }

    /// One attempt to register. When the worker stops meanwhile it is soon given up: but whoever accepts it until then
    /// is told that the worker takes nothing, and does not dispatch to one that is gone.
    async fn register(&mut self) {
        let stop = self.ends.stop_asking.clone();
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
        if self.ends.stop_asking.is_cancelled() {
            self.state.on_stop();
        }
    }

    /// When it fails, perhaps with the delay before the next.
    async fn try_register(&mut self) -> Result<Generation, Option<Duration>> {
        let peer = self.session.peer.clone();
        self.core.refresh_capacity().await;
        // For the registration to know the memory, and for the load to have a beginning.
        self.core.telemetry.usage().await;
        let message = registration(&self.core);
        let body = peer.seal.message(&message, &[], Generation::Older).map_err(|error| {
            tracing::error!(orchestrator = %peer.name, %error, "the registration cannot be written");
            None
        })?;
        let request = Request::new(Operation::Register, TIME_LIMIT).with_body(body);
        let response = self.transport.exchange(request).await;
        let read =
            response.as_ref().map(|response| serde_json::from_slice::<RegistrationAnswer>(&response.body));
        let answer = match (&response, &read) {
            (Err(error), _) => Answer::Nothing(error),
            (Ok(response), Ok(Err(_))) if response.is_success() => Answer::unreadable(response),
            (Ok(response), _) => Answer::of(response),
        };
        self.session.record(Exchange::Registration, &answer);
        match (answer, read) {
            (Answer::Good, Ok(Ok(accepted))) => {
                self.accepted(&accepted);
                Ok(accepted.generation())
            }
            (Answer::Unauthorized(_), _) => Err(Some(after_refused_credentials(&mut self.rng))),
            (Answer::TooMany(_), _) => Err(Some(peer.gate(Exchange::Registration).silence(Instant::now()))),
            _ => Err(None),
        }
    }

    fn accepted(&mut self, answer: &RegistrationAnswer) {
        let peer = &self.session.peer;
        // 1.0b2 does not say.
        let version = answer.version.as_deref().map(|version| excerpt(version.as_bytes()));
        tracing::info!(orchestrator = %peer.name, version, worker_id = %self.core.worker_id, "registered");
        if let Some(warning) = &answer.warning {
            let warning = excerpt(warning.as_bytes());
            tracing::warn!(orchestrator = %peer.name, "the orchestrator says: {warning}");
        }
        let again = peer.was_registered();
        peer.set_registered(answer.generation());
        if self.core.orchestrators.registered(self.session.who) || again {
            self.session.delivery.offer_all(false);
        }
    }

    /// One heartbeat. One that hangs delays neither the news that the worker stops nor the end of its polls.
    async fn beat(&mut self, probe: bool) {
        self.core.changes.told(self.session.who);
        let (stop, let_go) = (self.ends.stop_asking.clone(), self.ends.let_go.clone());
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
        let peer = &self.session.peer;
        if beat == Beat::Forgotten && !self.ends.stop_asking.is_cancelled() {
            if self.core.orchestrators.is_active(self.session.who) {
                // Those that keep everything in memory do when they are restarted.
                tracing::info!(orchestrator = %peer.name, "the orchestrator has forgotten this worker: registering again");
            }
            peer.set_unregistered();
        }
        self.state.on_beat(beat, Instant::now());
    }

    async fn exchange(&mut self, probe: bool) -> Beat {
        if probe {
            let idle = !self.session.accepted(&self.core, &self.core.slots.usage()).is_empty();
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
        self.core.changes.told(self.session.who);
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
        self.state.on_goodbye(beat, self.ends.await_polls.is_cancelled(), Instant::now());
        self.session.peer.end_goodbye();
    }

    /// Tells how the worker is now.
    async fn tell(&mut self) -> Result<Beat, Error> {
        let peer = self.session.peer.clone();
        let generation = peer.generation();
        self.core.refresh_capacity().await;
        let machine = if generation == Generation::Newer { self.core.telemetry.usage().await } else { None };
        let machine = machine.filter(|usage| self.deadband.is_due(usage, Instant::now()));
        let wants_skills = self.state.wants_skills();
        let message = heartbeat(&self.core, &self.session, generation, machine.clone(), wants_skills);
        let idle = message.status == WorkerStatus::Idle;
        self.namesake.told(message.current_tasks.clone());
        match peer.seal.message(&message, &[], generation) {
            Ok(body) => {
                if wants_skills {
                    self.state.on_skills_sent();
                }
                let beat =
                    self.send(Request::new(Operation::Heartbeat, TIME_LIMIT).with_body(body), idle).await;
                match (&beat, machine) {
                    (Ok(Beat::Acknowledged), Some(usage)) => self.deadband.told(usage, Instant::now()),
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
        let contact = self.session.peer.record(Exchange::Heartbeat, &Answer::Nothing(error));
        contact.into_iter().for_each(|contact| self.session.on_contact(contact));
        // An orchestrator that hung up was there.
        if contact == Some(Contact::Gone) { Beat::Unreachable } else { Beat::Refused }
    }

    fn read(&mut self, response: &Response) -> Beat {
        let mut answer = Answer::of(response);
        let mut known = None;
        if let Answer::Good = answer {
            match Liveness::read(&response.body) {
                Liveness::Known(fields) => known = Some(fields),
                Liveness::Forgotten => answer = Answer::Unknown(response),
                Liveness::Unreadable => answer = Answer::unreadable(response),
            }
        }
        self.session.record(Exchange::Heartbeat, &answer);
        match (answer, known) {
            (Answer::Good, Some(fields)) => {
                self.obey(&fields);
                Beat::Acknowledged
            }
            (Answer::Unknown(_), _) => Beat::Forgotten,
            (Answer::TooMany(_), _) => Beat::TooMany,
            _ => Beat::Refused,
        }
    }

    fn obey(&mut self, answer: &HeartbeatAnswer) {
        let orchestrator = &self.session.peer.name;
        let runs = |id: &str| self.core.running.knows(self.session.who, id);
        if let Some(task_id) = self.namesake.heard(&answer.current_tasks, runs) {
            let task_id = &*masked(task_id);
            tracing::warn!(
                %orchestrator, worker_id = %self.core.worker_id, task_id,
                "the orchestrator says that this worker runs tasks that it does not run: two live workers seem to \
                 share one `WORKER_ID`; give each its own"
            );
        }
        if answer.require_full_sync {
            self.state.on_skills_wanted();
            self.core.changes.happened();
        }
        for id in &answer.cancel_task_ids {
            let known = self.core.running.cancel(self.session.who, id, &Cause::Command);
            tracing::info!(%orchestrator, id = &*masked(id), known, "told to cancel");
        }
    }
}
