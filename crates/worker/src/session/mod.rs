//! One orchestrator's conversation.
//!
//! [`driver`] and [`courier`] run on the control path: registration and heartbeats, and progress. [`poller`] runs on
//! the data path: it asks for tasks. What they do when is decided in [`state`], [`polling`] and [`rate`], and what they
//! say in [`registration`] and [`heartbeat`], which do no I/O.

pub(crate) mod commands;
mod courier;
mod driver;
pub(crate) mod fleet;
mod heartbeat;
mod live;
pub(crate) mod machine;
mod namesake;
mod poller;
mod polling;
mod registration;
mod state;

#[cfg(feature = "testing")]
pub(crate) use courier::courier;
pub(crate) use driver::{Driver, Ends};
#[cfg(test)]
pub(crate) use poller::tests::assembly as idle_assembly;
pub(crate) use poller::{OpenPolls, Pollers};
pub(crate) use polling::{Polling, PollingSettings};
pub(crate) use registration::Skills;

use std::sync::Arc;

use rxon::TaskName;
use tokio::sync::watch;

use crate::capacity::slots::Usage;
use crate::core::Core;
use crate::delivery::Delivery;
use crate::execution::running::Running;
use crate::peer::Peer;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::token::TokenKeeper;
use crate::session::fleet::Orchestrators;
use crate::task::progress::ProgressBoard;

/// One orchestrator, as both paths and the tasks that came from it see it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its place among the orchestrators.
    pub(crate) who: usize,
    pub(crate) orchestrators: Arc<Orchestrators>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) tokens: Arc<TokenKeeper>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) progress: Arc<ProgressBoard>,
    /// Polls that are under way.
    pub(crate) polls: OpenPolls,
    /// How many pollers live.
    pub(crate) pollers: watch::Sender<usize>,
}

impl Session {
    /// Records the answer to an exchange with the orchestrator, and tells the fleet what it says of the orchestrator's
    /// health.
    pub(crate) fn record(&self, exchange: Exchange, answer: &Answer<'_>) {
        if let Some(contact) = self.peer.record(exchange, answer) {
            self.on_contact(contact);
        }
    }

    /// Tells the fleet of a sign. Results that were kept for an orchestrator that was down are offered when it is up again.
    pub(crate) fn on_contact(&self, contact: Contact) {
        if self.orchestrators.heard(self.who, contact) {
            self.delivery.offer_all(false);
        }
    }

    /// What can be accepted from its orchestrator when this much is in use.
    pub(crate) fn accepted(&self, core: &Core, usage: &Usage) -> Vec<TaskName> {
        // While results pile up that it does not take, it is not polled either.
        let is_served = self.orchestrators.is_polled(self.who) && self.delivery.has_room();
        if is_served { core.accepted(usage) } else { Vec::new() }
    }

    /// Waits until no poll is open, no task runs and no result waits that belongs to its orchestrator.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn settled(&self, running: &Running) {
        // In the order in which one becomes the next.
        let _ = self.pollers.subscribe().wait_for(|pollers| *pollers == 0).await;
        running.none_from(self.who).await;
        self.delivery.empty().await;
    }
}
