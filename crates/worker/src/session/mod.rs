//! One orchestrator's conversation.
//!
//! [`driver`] and [`courier`] run on the control path: registration and heartbeats, and progress. [`poller`] runs on
//! the data path: it asks for tasks. What they do when is decided in [`state`], [`polling`] and [`rate`], and what they
//! say in [`registration`] and [`heartbeat`], which do no I/O.

pub(crate) mod commands;
mod courier;
mod driver;
mod ends;
pub(crate) mod fleet;
mod heartbeat;
mod live;
pub(crate) mod machine;
mod namesake;
mod parts;
mod poller;
mod polling;
mod profile;
mod registration;
mod state;

#[cfg(feature = "testing")]
pub(crate) use courier::courier;
pub(crate) use driver::Driver;
pub(crate) use ends::Ends;
pub(crate) use parts::{ConversationParts, ConversationSettings};
#[cfg(test)]
pub(crate) use poller::tests::{offer as idle_offer, session as idle_session};
pub(crate) use poller::{OpenPolls, PollerSettings, Pollers};
pub(crate) use polling::PollingSettings;
pub(crate) use profile::{Advertised, Profile};

use std::sync::Arc;

use rxon::TaskName;
use tokio::sync::watch;

use crate::capacity::Offer;
use crate::capacity::slots::Usage;
use crate::execution::origin::Origin;
use crate::execution::running::Running;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::token::TokenKeeper;
use crate::session::fleet::Orchestrators;

/// One orchestrator, as both paths and the tasks that came from it see it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) orchestrators: Arc<Orchestrators>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) tokens: Arc<TokenKeeper>,
    /// Polls that are under way.
    pub(crate) polls: OpenPolls,
    /// How many pollers live.
    pub(crate) pollers: watch::Sender<usize>,
}

impl Session {
    /// Records the answer to an exchange with the orchestrator, and passes its sign on to the fleet.
    pub(crate) fn record(&self, exchange: Exchange, answer: &Answer<'_>) {
        if let Some(contact) = self.origin.peer.record(exchange, answer) {
            self.on_contact(contact);
        }
    }

    /// Passes a sign on to the fleet. Results that were kept for an orchestrator that was down are offered when it is up
    /// again.
    pub(crate) fn on_contact(&self, contact: Contact) {
        if self.orchestrators.heard(self.origin.orchestrator, contact) {
            self.origin.delivery.offer_all(false);
        }
    }

    /// What can be accepted from its orchestrator when this much is in use.
    pub(crate) fn accepted(&self, offer: &Offer, usage: &Usage) -> Vec<TaskName> {
        // While results pile up that it does not take, it is not polled either.
        let is_served =
            self.orchestrators.is_polled(self.origin.orchestrator) && self.origin.delivery.has_room();
        if is_served { offer.accepted(usage) } else { Vec::new() }
    }

    /// Waits until no poll is open, no task runs and no result waits that belongs to its orchestrator.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn settled(&self, running: &Running) {
        // In the order in which one becomes the next.
        let _ = self.pollers.subscribe().wait_for(|pollers| *pollers == 0).await;
        running.none_from(self.origin.orchestrator).await;
        self.origin.delivery.empty().await;
    }
}
