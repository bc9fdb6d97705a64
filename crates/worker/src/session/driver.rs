//! Registration and heartbeats: the control path's side of a conversation.
//!
//! [`state`](super::state) decides the next step; it is carried out here.

use std::pin::Pin;
use std::time::Duration;

use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use rxon::limit::within;
use rxon::model::{
    Capabilities, Generation, HeartbeatAnswer, Liveness, RegistrationAnswer, Usage, WorkerStatus,
};
use rxon::secrets::masked;
use rxon::text::excerpt;
use rxon::transport::{Operation, Request, Response, Transport};
use rxon::{Error, ErrorKind};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::log::FailureLine;
use crate::peer::rate::after_refused_credentials;
use crate::session::ConversationParts;
use crate::session::courier::courier;
use crate::session::fleet::Role;
use crate::session::live::Websocket;
use crate::session::machine::Deadband;
use crate::session::namesake::Namesake;
use crate::session::state::{Beat, Conversation, Step};

/// The time limit of a registration and of a heartbeat.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The time limit of the goodbye, connecting included. An orchestrator that takes longer counts as unreachable. The
/// addresses of a cluster share the time: if the first hangs, another is told.
const GOODBYE_TIME_LIMIT: Duration = Duration::from_secs(3);

/// The time that a registration under way has left when the worker stops.
const LAST_REGISTRATION_LIMIT: Duration = Duration::from_secs(1);

/// The time between the heartbeats that report one change to several orchestrators: where they share their storage,
/// heartbeats of the same worker at the same time get into each other's way.
const BETWEEN_ORCHESTRATORS: Duration = Duration::from_millis(10);

/// Holds the conversation with one orchestrator.
pub(crate) struct Driver {
    parts: ConversationParts,
    /// A connection that no exchange uses.
    idle: Option<Box<dyn Transport>>,
    /// Heartbeats whose answers are awaited, each with a connection of its own.
    unanswered: FuturesUnordered<Unanswered>,
    state: Conversation,
    role: watch::Receiver<Role>,
    /// As sent with the last registration.
    capabilities: Option<Capabilities>,
    /// The orchestrator asked for the skills: the next heartbeat has them.
    wants_skills: bool,
    deadband: Deadband,
    namesake: Namesake,
}

/// A heartbeat that was sent.
struct Sent {
    at: Instant,
    /// It reports the worker as idle.
    idle: bool,
    usage: Option<Usage>,
    /// It only asks whether the worker is known; the state follows.
    is_probe: bool,
    /// The orchestrator has just said that it knows the worker.
    follows_probe: bool,
}

/// A heartbeat with its connection and its answer.
type Answered = (Sent, Box<dyn Transport>, Result<Response, Error>);

type Unanswered = Pin<Box<dyn Future<Output = Answered> + Send>>;

impl Driver {
    pub(crate) fn new(parts: ConversationParts) -> Self {
        let (peer, settings) = (&parts.session.origin.peer, parts.settings);
        let mut role = parts.session.member().role.subscribe();
        let state = Conversation::new(
            settings.heartbeat_interval,
            settings.max_registration_delay,
            *role.borrow_and_update(),
            peer.gate(Exchange::Heartbeat).clone(),
            Instant::now(),
            Rng::new(),
        );
        let (index, count) = (parts.session.origin.orchestrator.0, parts.session.fleet.members.len());
        let state = state.in_turn(index, count);
        Self {
            idle: None,
            unanswered: FuturesUnordered::new(),
            state,
            role,
            capabilities: None,
            wants_skills: false,
            deadband: Deadband::new(settings.telemetry_deadband, settings.telemetry_force_interval),
            namesake: Namesake::default(),
            parts,
        }
    }

    /// Runs until the worker closes.
    pub(crate) async fn run(mut self) {
        let ConversationParts { session, profile, ends, .. } = self.parts.clone();
        let courier = courier(session.origin.clone(), profile.worker_id.clone());
        let lines = 0..session.origin.peer.lines.len();
        let websockets = lines.map(|line| Websocket::new(self.parts.clone(), line).keep_open());
        let websockets = join_all(websockets.collect::<Vec<_>>());
        let tokens = join_all(session.tokens.iter().map(|tokens| tokens.keep()));
        // Progress is sent to the end, even when there are no more heartbeats to send.
        let all = async { tokio::join!(self.converse(), courier, websockets, tokens) };
        ends.closing.run_until_cancelled(all).await;
        let lost = session.origin.progress.ready_made.clear();
        if lost > 0 {
            tracing::warn!(orchestrator = %session.origin.peer.name, lost, "events of the worker were not sent before its end");
        }
    }

    async fn converse(&mut self) {
        loop {
            // Polls and results have connections of their own, and note when one failed.
            if self.parts.session.origin.peer.take_doubt() {
                self.state.on_doubt();
            }
            // The role may have changed during an exchange.
            if self.role.has_changed().is_ok_and(|changed| changed) {
                self.state.on_role(*self.role.borrow_and_update(), Instant::now());
            }
            match self.state.next(Instant::now()) {
                Step::Register => self.register().await,
                Step::Beat { probe } => self.beat(probe).await,
                Step::SayGoodbye => self.say_goodbye().await,
                Step::AbandonPolls => {
                    self.parts.ends.abandon_polls.cancel();
                    self.parts.session.origin.peer.goodbye.cancel();
                }
                Step::Wait { until } => self.wait(until).await,
                Step::End => return,
            }
        }
    }

    /// Waits for an event, at most until this time, and handles it.
    async fn wait(&mut self, at: Instant) {
        let ConversationParts { session, running, heartbeat_trigger, registration_trigger, ends, .. } =
            &self.parts;
        let (peer, orchestrator) = (&session.origin.peer, session.origin.orchestrator);
        let debounce = self.parts.settings.heartbeat_debounce + BETWEEN_ORCHESTRATORS * orchestrator.0 as u32;
        let known = self.state.is_known();
        let stopping = self.state.is_stopping();
        let mut answered = None;
        tokio::select! {
            biased;
            () = ends.stop_asking.cancelled(), if !stopping => self.state.on_stop(),
            Some(answer) = self.unanswered.next() => answered = Some(answer),
            // Its sender lives as long as the worker.
            Ok(()) = self.role.changed() => self.state.on_role(*self.role.borrow_and_update(), Instant::now()),
            () = tokio::time::sleep_until(at) => {}
            () = peer.until_forgotten(), if known => {
                peer.set_unregistered();
                self.state.on_forgotten(Instant::now());
            }
            () = registration_trigger.settled(orchestrator, debounce), if known && !stopping => {
                registration_trigger.reported(orchestrator);
                self.state.on_new_tasks(Instant::now());
            }
            () = heartbeat_trigger.settled(orchestrator, debounce), if known => {
                heartbeat_trigger.reported(orchestrator);
                self.state.on_change();
            }
            () = session.settled(running), if self.state.is_left() => {
                peer.set_unregistered();
                self.state.on_settled();
            }
        }
        if let Some(answered) = answered {
            self.on_answered(answered).await;
        }
    }

    /// Tries to register once. If the worker stops meanwhile, the attempt has 1 s left. An orchestrator that accepts it in
    /// that time gets the goodbye, so that it dispatches nothing to a worker that has ended.
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
                // An answer to an earlier heartbeat says nothing of the new registration.
                self.forget_unanswered();
                self.state.on_registered(generation, *self.role.borrow_and_update(), now);
            }
            Err((delay, line)) => {
                self.state.on_not_registered(delay, now);
                line.again_at(Some(self.state.attempt_at()));
            }
        }
        if self.parts.ends.stop_asking.is_cancelled() {
            self.state.on_stop();
        }
    }

    /// Sends a registration. The error is the delay before the next attempt, if the reason determines it, and the line
    /// about it.
    async fn try_register(&mut self) -> Result<Generation, (Option<Duration>, FailureLine)> {
        let ConversationParts { session, profile, offer, registration_trigger, .. } = self.parts.clone();
        let peer = &session.origin.peer;
        offer.refresh().await;
        // The first measurement: the registration names the memory, and the load is an average from now on.
        profile.usage.machine.usage().await;
        // It names all tasks that were added until now.
        registration_trigger.reported(session.origin.orchestrator);
        let message = profile.registration(&offer);
        let body = peer.seal.message(&message, &[], Generation::Older).map_err(|error| {
            tracing::error!(orchestrator = %peer.name, %error, "the registration cannot be written");
            (None, FailureLine::default())
        })?;
        self.capabilities = Some(message.capabilities);
        let request = Request::new(Operation::Register, TIME_LIMIT).with_body(body);
        let mut transport = self.transport();
        let response = transport.exchange(request).await;
        self.idle = Some(transport);
        let answer = response.as_ref().map_or_else(Answer::Nothing, Answer::of_consent);
        let (answer, accepted) = match (answer, &response) {
            (Answer::Good, Ok(response)) => match serde_json::from_slice(&response.body) {
                Ok(accepted) => (Answer::Good, Some(accepted)),
                Err(_) => (Answer::unreadable(response), None),
            },
            (answer, _) => (answer, None),
        };
        let line = session.record(Exchange::Registration, &answer);
        match (answer, accepted) {
            (Answer::Good, Some(accepted)) => {
                self.on_registered(&accepted);
                Ok(accepted.generation())
            }
            (Answer::Unauthorized(_), _) => Err((Some(after_refused_credentials(&mut Rng::new())), line)),
            (Answer::TooMany(_), _) => {
                Err((Some(peer.gate(Exchange::Registration).silence(Instant::now())), line))
            }
            _ => Err((None, line)),
        }
    }

    fn on_registered(&self, answer: &RegistrationAnswer) {
        let ConversationParts { session, profile, .. } = &self.parts;
        let peer = &session.origin.peer;
        // 1.0b2 sends no version.
        let version = answer.version.as_deref().map(excerpt);
        tracing::info!(orchestrator = %peer.name, version, worker_id = %profile.worker_id, "registered");
        if let Some(warning) = &answer.warning {
            let warning = excerpt(warning);
            tracing::warn!(orchestrator = %peer.name, "the orchestrator says: {warning}");
        }
        let again = peer.was_registered();
        peer.set_registered(answer.generation());
        if session.fleet.on_registered(session.origin.orchestrator) || again {
            session.origin.delivery.offer_all(false);
        }
    }

    /// Sends a heartbeat; with `probe`, only if the orchestrator still knows the worker. Does not wait for the answer: one
    /// that hangs delays nothing.
    async fn beat(&mut self, probe: bool) {
        self.parts.heartbeat_trigger.reported(self.parts.session.origin.orchestrator);
        if probe {
            let (request, sent) = self.probe();
            self.begin(request, sent);
        } else {
            self.beat_with_state(false).await;
        }
    }

    async fn beat_with_state(&mut self, follows_probe: bool) {
        let stop = self.parts.ends.stop_asking.clone();
        let stopping = self.state.is_stopping();
        // The user's functions are asked meanwhile.
        let message = tokio::select! {
            biased;
            message = self.message() => message,
            () = stop.cancelled(), if !stopping => return self.state.on_stop(),
        };
        match message {
            Some((request, sent)) => self.begin(request, Sent { follows_probe, ..sent }),
            None => self.state.on_beat(Beat::Refused, Instant::now()),
        }
    }

    /// Begins an exchange, over a connection that no other one uses.
    fn begin(&mut self, request: Request, sent: Sent) {
        self.state.on_sent(sent.at, sent.idle);
        let mut transport = self.transport();
        self.unanswered.push(Box::pin(async move {
            let response = transport.exchange(request).await;
            (sent, transport, response)
        }));
    }

    fn transport(&mut self) -> Box<dyn Transport> {
        self.idle.take().unwrap_or_else(|| self.parts.session.origin.peer.connector.transport())
    }

    /// Gives up the heartbeats that are not answered.
    fn forget_unanswered(&mut self) {
        self.unanswered.clear();
        self.state.on_unanswered_forgotten();
    }

    async fn on_answered(&mut self, (sent, transport, response): Answered) {
        self.idle.get_or_insert(transport);
        let (is_probe, follows_probe) = (sent.is_probe, sent.follows_probe);
        let beat = match self.on_response(sent, response) {
            Ok(Beat::Acknowledged) if is_probe => return self.beat_with_state(true).await,
            Ok(Beat::Forgotten) if !is_probe && self.may_be_a_collision() => {
                if !follows_probe {
                    let (request, sent) = self.probe();
                    return self.begin(request, sent);
                }
                // It was not told, but the next heartbeat will tell it.
                Beat::Refused
            }
            beat => beat.unwrap_or_else(|error| self.on_no_answer(&error)),
        };
        if beat == Beat::Forgotten && self.state.is_known() && !self.parts.ends.stop_asking.is_cancelled() {
            let session = &self.parts.session;
            let peer = &session.origin.peer;
            if *session.member().role.borrow() == Role::Active {
                // A restart does this to orchestrators that keep everything in memory.
                tracing::info!(orchestrator = %peer.name, "the orchestrator has forgotten this worker: registering again");
            }
            peer.set_unregistered();
        }
        self.state.on_beat(beat, Instant::now());
    }

    /// Tells the orchestrator that the worker takes nothing more. It is not probed first: that would delay the news.
    async fn say_goodbye(&mut self) {
        self.parts.heartbeat_trigger.reported(self.parts.session.origin.orchestrator);
        self.forget_unanswered();
        let is_cluster = self.parts.session.origin.peer.lines.len() > 1;
        let goodbye = async {
            match self.tell().await {
                // The orchestrator had just closed an idle connection: it is there, and still believes us idle.
                Err(error) if error.is_stale_connection() => self.tell().await,
                beat => beat,
            }
        };
        let beat = match within(GOODBYE_TIME_LIMIT, Box::pin(goodbye)).await {
            Ok(Ok(beat)) => beat,
            // In a cluster another instance may still believe us idle.
            Ok(Err(error)) if is_cluster && error.kind() == ErrorKind::Timeout => Beat::Refused,
            Err(_) if is_cluster => Beat::Refused,
            Ok(Err(error)) => self.on_no_answer(&error),
            Err(_) => Beat::Unreachable,
        };
        self.state.on_goodbye(beat, self.parts.ends.await_polls.is_cancelled(), Instant::now());
        if self.state.abandon_polls_at().is_none() {
            self.parts.ends.await_polls.cancel();
        }
        self.parts.session.origin.peer.goodbye.cancel();
    }

    /// Whether an answer as to a stranger may mean something else: the older generation on Redis gives it also when two
    /// heartbeats collide, and takes in only one of them. It is asked whether it knows the worker, and then told again.
    fn may_be_a_collision(&self) -> bool {
        !self.parts.session.origin.peer.generation().needs_probes()
    }

    /// Sends the state of the worker, and waits for the answer.
    async fn tell(&mut self) -> Result<Beat, Error> {
        let Some((request, sent)) = self.message().await else { return Ok(Beat::Refused) };
        let beat = self.exchange(request, sent).await?;
        if beat != Beat::Forgotten || !self.may_be_a_collision() {
            return Ok(beat);
        }
        let (request, sent) = self.probe();
        match self.exchange(request, sent).await? {
            Beat::Acknowledged => match self.message().await {
                Some((request, sent)) => match self.exchange(request, sent).await? {
                    Beat::Forgotten => Ok(Beat::Refused),
                    beat => Ok(beat),
                },
                None => Ok(Beat::Refused),
            },
            beat => Ok(beat),
        }
    }

    async fn exchange(&mut self, mut request: Request, sent: Sent) -> Result<Beat, Error> {
        self.state.on_sent(sent.at, sent.idle);
        if let addresses @ 2.. = self.parts.session.origin.peer.lines.len() {
            request.time_limit = GOODBYE_TIME_LIMIT / (addresses as u32 + 1);
        }
        let mut transport = self.transport();
        let response = transport.exchange(request).await;
        self.idle = Some(transport);
        self.on_response(sent, response)
    }

    /// Writes a heartbeat that only asks whether the orchestrator knows the worker.
    fn probe(&self) -> (Request, Sent) {
        let ConversationParts { session, offer, .. } = &self.parts;
        let idle = !session.accepted(offer, &offer.slots.usage()).is_empty();
        let sent = Sent { at: Instant::now(), idle, usage: None, is_probe: true, follows_probe: false };
        (Request::new(Operation::Heartbeat, TIME_LIMIT), sent)
    }

    /// Writes a heartbeat with the state of the worker as it is now. Returns `None` if it cannot be signed.
    async fn message(&mut self) -> Option<(Request, Sent)> {
        let ConversationParts { session, profile, offer, running, .. } = self.parts.clone();
        let peer = &session.origin.peer;
        let generation = peer.generation();
        offer.refresh().await;
        let usage = if generation.reads_skills_and_usage() { profile.usage.usage().await } else { None };
        let usage = usage.filter(|usage| self.deadband.is_due(usage, Instant::now()));
        let capabilities = self.capabilities.as_ref();
        let message =
            profile.heartbeat(&offer, &running, &session, usage.clone(), capabilities, self.wants_skills);
        let idle = message.status == WorkerStatus::Idle;
        let body = peer.seal.message(&message, &[], generation);
        self.namesake.on_heartbeat(message.current_tasks);
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(orchestrator = %peer.name, %error, "the heartbeat cannot be signed");
                return None;
            }
        };
        self.wants_skills = false;
        let request = Request::new(Operation::Heartbeat, TIME_LIMIT).with_body(body);
        Some((request, Sent { at: Instant::now(), idle, usage, is_probe: false, follows_probe: false }))
    }

    /// Handles the answer to a heartbeat.
    fn on_response(&mut self, sent: Sent, response: Result<Response, Error>) -> Result<Beat, Error> {
        let beat = response.map(|response| self.on_answer(&response));
        tracing::debug!(
            orchestrator = %self.parts.session.origin.peer.name, idle = sent.idle, probe = sent.is_probe, answer = ?beat,
            seconds = sent.at.elapsed().as_secs_f64(), "heartbeat"
        );
        match (&beat, sent.usage) {
            (Ok(Beat::Acknowledged), Some(usage)) => self.deadband.accepted(usage, Instant::now()),
            (Ok(Beat::Acknowledged), None) => {}
            _ => self.deadband.forget(),
        }
        beat
    }

    fn on_no_answer(&mut self, error: &Error) -> Beat {
        let line = self.parts.session.record(Exchange::Heartbeat, &Answer::Nothing(error));
        line.again_at(Some(self.state.next_heartbeat()));
        // An orchestrator that hung up can be reached.
        match Contact::of_error(error, Exchange::Heartbeat) {
            Contact::Gone => Beat::Unreachable,
            Contact::Well | Contact::Failed => Beat::Refused,
        }
    }

    fn on_answer(&mut self, response: &Response) -> Beat {
        let (answer, fields) = match Answer::of_consent(response) {
            Answer::Good => match Liveness::read(&response.body) {
                Liveness::Known(fields) => (Answer::Good, Some(fields)),
                Liveness::Forgotten => (Answer::Unknown(response), None),
                Liveness::Unreadable => (Answer::unreadable(response), None),
            },
            answer => (answer, None),
        };
        let line = self.parts.session.record(Exchange::Heartbeat, &answer);
        line.again_at(Some(self.state.next_heartbeat()));
        match (answer, fields) {
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
        let ConversationParts { session, profile, running, heartbeat_trigger, .. } = &self.parts;
        let (orchestrator, index) = (&session.origin.peer.name, session.origin.orchestrator);
        let foreign = self.namesake.on_answer(&answer.current_tasks, |id| running.knows(index, id));
        if let Some(task_id) = foreign {
            let task_id = &*masked(task_id);
            tracing::warn!(
                %orchestrator, worker_id = %profile.worker_id, task_id,
                "the orchestrator says that this worker runs tasks that it does not run: two live workers seem to \
                 share one `WORKER_ID`; give each its own"
            );
        }
        if self.namesake.on_instance(answer.instance.as_deref(), &profile.instance) {
            tracing::warn!(
                %orchestrator, worker_id = %profile.worker_id,
                "another process has registered under this worker's id: two live workers seem to share one `WORKER_ID`; \
                 give each its own"
            );
        }
        if answer.require_full_sync {
            self.wants_skills = true;
            heartbeat_trigger.on_change();
        }
        for id in &answer.cancel_task_ids {
            let known = running.cancel(index, id);
            tracing::info!(%orchestrator, id = &*masked(id), known, "told to cancel");
        }
    }
}
