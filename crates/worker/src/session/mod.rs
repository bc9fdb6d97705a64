//! The conversation with one orchestrator.
//!
//! On the control path, [`driver`] registers and sends heartbeats, [`live`] keeps the websocket, and [`courier`] sends
//! progress and events. On the data path, [`poller`] asks for tasks. [`state`] and [`polling`] decide the time of each
//! message, and [`profile`] writes registrations and heartbeats: these three do no I/O. [`fleet`] keeps the roles of
//! several orchestrators.

pub(crate) mod commands;
mod courier;
mod driver;
pub(crate) mod fleet;
mod live;
pub(crate) mod machine;
mod namesake;
mod poller;
mod polling;
mod profile;
mod state;
pub(crate) mod usage;

#[cfg(feature = "testing")]
pub(crate) use courier::courier;
pub(crate) use driver::Driver;
#[cfg(test)]
pub(crate) use poller::tests::{offer as idle_offer, session as idle_session};
pub(crate) use poller::{OpenPolls, Pollers};
pub(crate) use polling::PollingSettings;
pub(crate) use profile::{Advertised, Profile, SkillsHash};

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rxon::TaskName;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::capacity::Offer;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::slots::Usage;
use crate::execution::Origin;
use crate::execution::running::Running;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::log::FailureLine;
use crate::peer::token::TokenKeeper;
use crate::session::commands::Commands;
use crate::session::fleet::{Fleet, Member};

/// One orchestrator, as both paths and the tasks that came from it see it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) origin: Arc<Origin>,
    /// Those of each address.
    pub(crate) tokens: Vec<Arc<TokenKeeper>>,
    pub(crate) open_polls: OpenPolls,
    /// The number of pollers.
    pub(crate) pollers: watch::Sender<usize>,
}

/// The parts of the worker that one conversation uses.
#[derive(Debug, Clone)]
pub(crate) struct ConversationParts {
    pub(crate) session: Arc<Session>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) offer: Arc<Offer>,
    pub(crate) running: Arc<Running>,
    pub(crate) heartbeat_trigger: Arc<HeartbeatTrigger>,
    /// Triggers registrations when tasks were added.
    pub(crate) registration_trigger: Arc<HeartbeatTrigger>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) ends: Ends,
    pub(crate) settings: ConversationSettings,
}

/// The options of one conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConversationSettings {
    /// The longest delay between two attempts to register.
    pub(crate) max_registration_delay: Duration,
    /// `HEARTBEAT_INTERVAL`.
    pub(crate) heartbeat_interval: Duration,
    /// `WORKER_HEARTBEAT_DEBOUNCE_DELAY`.
    pub(crate) heartbeat_debounce: Duration,
    /// `WORKER_TELEMETRY_DEADBAND`: in points for processors, in percent of the last value for memory.
    pub(crate) telemetry_deadband: f64,
    /// `WORKER_TELEMETRY_FORCE_INTERVAL`.
    pub(crate) telemetry_force_interval: Duration,
}

/// The tokens that end conversations and their polls. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// Starts no further poll, and tells each orchestrator that the worker takes nothing more.
    pub(crate) stop_asking: CancellationToken,
    /// Abandons open polls.
    pub(crate) abandon_polls: CancellationToken,
    /// Waits for open polls to end, because a successor could lose a task to an abandoned poll, or because the goodbye was
    /// refused.
    pub(crate) await_polls: CancellationToken,
    /// Ends the worker: nothing is waited for any more.
    pub(crate) closing: CancellationToken,
    drain_began: Arc<OnceLock<Instant>>,
}

impl Ends {
    /// The tokens of one conversation, which abandons or awaits only its own polls.
    pub(crate) fn of_one(&self) -> Self {
        let (abandon_polls, await_polls) = (self.abandon_polls.child_token(), self.await_polls.child_token());
        Self { abandon_polls, await_polls, ..self.clone() }
    }

    /// Begins the drain: no further poll is started.
    pub(crate) fn stop_asking(&self) {
        self.drain_began.get_or_init(Instant::now);
        self.stop_asking.cancel();
    }

    /// The time since the drain began; zero before it.
    pub(crate) fn drained_for(&self) -> Duration {
        self.drain_began.get().map_or(Duration::ZERO, Instant::elapsed)
    }
}

impl Session {
    /// The orchestrator's state in the fleet.
    pub(crate) fn member(&self) -> &Member {
        self.fleet.member(self.origin.orchestrator)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.fleet.is_down(self.origin.orchestrator)
    }

    /// Records the answer to an exchange with the orchestrator, and passes its contact on to the fleet. Returns the line
    /// about a failure.
    pub(crate) fn record(&self, exchange: Exchange, answer: &Answer<'_>) -> FailureLine {
        let (contact, line) = self.origin.peer.record(exchange, answer);
        self.fleet.on_exchange(self.origin.orchestrator, exchange, matches!(answer, Answer::Good));
        if let Some(contact) = contact {
            self.on_contact(contact);
        }
        line
    }

    /// Passes a contact on to the fleet. If the orchestrator is up again, the results kept for it are offered.
    pub(crate) fn on_contact(&self, contact: Contact) {
        if self.fleet.on_contact(self.origin.orchestrator, contact) {
            self.origin.delivery.offer_all(false);
        }
    }

    /// The tasks that the worker accepts from the orchestrator at this usage.
    pub(crate) fn accepted(&self, offer: &Offer, usage: &Usage) -> Vec<TaskName> {
        // An orchestrator that does not take results until too many are kept is not polled either.
        let is_served = *self.member().polled.borrow() && self.origin.delivery.has_room();
        if is_served { offer.accepted(usage) } else { Vec::new() }
    }

    /// Waits until no open poll, running task or waiting result belongs to the orchestrator.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn settled(&self, running: &Running) {
        // In this order, since a poll becomes a task and a task becomes a result.
        let _ = self.pollers.subscribe().wait_for(|pollers| *pollers == 0).await;
        running.none_from(self.origin.orchestrator).await;
        self.origin.delivery.empty().await;
    }
}
