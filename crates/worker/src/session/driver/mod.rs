//! Registration and heartbeats: the control path's side of a conversation.
//!
//! [`state`](super::state) decides the next step; it is carried out here, in [`registering`] and in [`goodbye`], and
//! [`answers`] takes in the answers to heartbeats.

mod answers;
mod goodbye;
mod registering;

use std::pin::Pin;
use std::time::Duration;

use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::future::{OptionFuture, join_all};
use futures_util::stream::FuturesUnordered;
use rxon::Error;
use rxon::model::{Capabilities, Usage, WorkerStatus};
use rxon::transport::{Operation, Request, Response, Transport};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::peer::answer::Exchange;
use crate::session::ConversationParts;
use crate::session::courier::courier;
use crate::session::fleet::Role;
use crate::session::live::Websocket;
use crate::session::machine::Deadband;
use crate::session::namesake::Namesake;
use crate::session::state::{Beat, Conversation, Step};

/// The time limit of a registration and of a heartbeat.
const TIME_LIMIT: Duration = Duration::from_secs(10);

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
    /// A registration that is not answered yet.
    registration: Option<Registration>,
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

/// The connection of a registration, and its answer.
type RegistrationAnswered = (Box<dyn Transport>, Result<Response, Error>);

type Registration = Pin<Box<dyn Future<Output = RegistrationAnswered> + Send>>;

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
            registration: None,
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
            // The role may have changed during an exchange or by its answer.
            if self.role.has_changed().is_ok_and(|changed| changed) {
                self.state.on_role(*self.role.borrow_and_update(), Instant::now());
            }
            if self.state.is_stopping() {
                self.end_registration().await;
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
        let (mut answered, mut registration_answered) = (None, None);
        let is_registering = self.registration.is_some();
        tokio::select! {
            biased;
            () = ends.stop_asking.cancelled(), if !stopping => self.state.on_stop(),
            Some(answer) = OptionFuture::from(self.registration.as_mut()) => registration_answered = Some(answer),
            Some(answer) = self.unanswered.next() => answered = Some(answer),
            // Its sender lives as long as the worker.
            Ok(()) = self.role.changed() => self.state.on_role(*self.role.borrow_and_update(), Instant::now()),
            () = tokio::time::sleep_until(at) => {}
            () = peer.until_forgotten(), if known => {
                peer.set_unregistered();
                self.state.on_forgotten(Instant::now());
            }
            // The one under way does not name them.
            () = registration_trigger.settled(orchestrator, debounce), if known && !stopping && !is_registering => {
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
        if let Some(answered) = registration_answered {
            self.registration = None;
            self.on_registration_answered(answered);
        }
        if let Some(answered) = answered {
            self.on_answered(answered).await;
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
}
