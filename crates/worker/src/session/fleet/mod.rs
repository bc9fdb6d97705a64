//! Several orchestrators: which of them are up, and the role of each.
//!
//! [`roles`] decides, and is pure. [`Fleet`] shares the decisions between the control path, which registers and sends
//! heartbeats, and the data path, which polls.

mod refusals;
mod roles;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use roles::{Pace, Role};

use self::roles::Roles;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::slots::Slots;
use crate::config::MultiOrchestratorMode;
use crate::peer::answer::{Contact, Exchange};
use crate::threads::lock;

/// The orchestrators of a worker, in the order of their priorities.
#[derive(Debug)]
pub(crate) struct Fleet {
    roles: Mutex<Roles>,
    pub(crate) members: Vec<Member>,
    pub(crate) slots: Arc<Slots>,
}

/// The state of one orchestrator. The parts of its session wait for changes of it.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    pub(crate) role: watch::Sender<Role>,
    /// True once the orchestrator is active and has accepted a registration.
    pub(crate) polled: watch::Sender<bool>,
    /// True if the last attempt could not connect.
    pub(crate) unreachable: watch::Sender<bool>,
    /// The number of times that the orchestrator was reached again: a poller that looks late misses none.
    pub(crate) returns: watch::Sender<u64>,
    /// Set by any contact but [`Contact::Well`]: only then does the next `Well` matter.
    troubled: AtomicBool,
    /// Set by an exchange that failed: only then does a success matter.
    refused: AtomicBool,
}

impl Member {
    fn on_reached(&self) {
        if self.unreachable.send_replace(false) {
            self.returns.send_modify(|returns| *returns += 1);
        }
    }
}

impl Fleet {
    /// A fleet of orchestrators with these names.
    pub(crate) fn new(mode: MultiOrchestratorMode, names: Vec<String>, slots: Arc<Slots>) -> Self {
        let roles = Roles::new(names.len(), mode == MultiOrchestratorMode::Failover);
        let member = |(index, name)| Member {
            name,
            role: watch::Sender::new(roles.role(OrchestratorIndex(index))),
            polled: watch::Sender::new(false),
            unreachable: watch::Sender::new(false),
            returns: watch::Sender::new(0),
            troubled: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        };
        let members = names.into_iter().enumerate().map(member).collect();
        Self { roles: Mutex::new(roles), members, slots }
    }

    pub(crate) fn member(&self, orchestrator: OrchestratorIndex) -> &Member {
        &self.members[orchestrator.0]
    }

    pub(crate) fn is_down(&self, orchestrator: OrchestratorIndex) -> bool {
        lock(&self.roles).is_down(orchestrator)
    }

    /// Takes in a contact. Returns true if the orchestrator is up again after it was down.
    pub(crate) fn on_contact(&self, orchestrator: OrchestratorIndex, contact: Contact) -> bool {
        let member = self.member(orchestrator);
        // Nearly every poll ends here, without a lock.
        if contact == Contact::Well && !member.troubled.load(Ordering::Relaxed) {
            return false;
        }
        let mut roles = lock(&self.roles);
        match contact {
            Contact::Gone => drop(member.unreachable.send_replace(true)),
            Contact::Well => member.on_reached(),
            Contact::Failed => {}
        }
        let changed = roles.on_contact(orchestrator, contact);
        member.troubled.store(contact != Contact::Well || roles.is_down(orchestrator), Ordering::Relaxed);
        self.publish(orchestrator, changed, &roles)
    }

    /// Takes in the end of an exchange, good or not: an orchestrator that refuses one kind for long is left.
    pub(crate) fn on_exchange(&self, orchestrator: OrchestratorIndex, exchange: Exchange, is_good: bool) {
        let member = self.member(orchestrator);
        if is_good && !member.refused.load(Ordering::Relaxed) {
            return;
        }
        let mut roles = lock(&self.roles);
        if let Some(lasted) = roles.on_exchange(orchestrator, exchange, is_good, Instant::now()) {
            tracing::warn!(
                orchestrator = %member.name, operation = exchange.name(),
                "the orchestrator is left: nothing of this kind has succeeded for {} s; it is tried again in 5 min",
                lasted.as_secs()
            );
            member.troubled.store(true, Ordering::Relaxed);
            self.publish(orchestrator, true, &roles);
        }
        member.refused.store(roles.has_refusals(orchestrator), Ordering::Relaxed);
    }

    /// Takes in an accepted registration. Returns true if the orchestrator is up again after it was down.
    pub(crate) fn on_registered(&self, orchestrator: OrchestratorIndex) -> bool {
        let member = self.member(orchestrator);
        let mut roles = lock(&self.roles);
        let was_down = roles.on_registered(orchestrator);
        member.troubled.store(false, Ordering::Relaxed);
        member.on_reached();
        let is_up = self.publish(orchestrator, was_down, &roles);
        if roles.role(orchestrator) == Role::Active {
            member.polled.send_replace(true);
        }
        is_up
    }

    /// Publishes the roles after a contact with this orchestrator, which may have `changed` whether it is down. Returns
    /// true if it is up again.
    fn publish(&self, orchestrator: OrchestratorIndex, changed: bool, roles: &Roles) -> bool {
        let is_down = roles.is_down(orchestrator);
        // For a single orchestrator, the log lines of its requests are enough.
        if changed && self.members.len() > 1 {
            let orchestrator = &self.member(orchestrator).name;
            if is_down {
                tracing::warn!(%orchestrator, "the orchestrator is down");
            } else {
                tracing::info!(%orchestrator, "the orchestrator is up again");
            }
        }
        for (index, member) in self.members.iter().enumerate() {
            let index = OrchestratorIndex(index);
            // A new active orchestrator clears the contact history of those after it.
            self.slots.set_down(index, roles.is_down(index));
            let role = roles.role(index);
            let is_new = member.role.send_if_modified(|known| std::mem::replace(known, role) != role);
            if is_new && role == Role::Active {
                tracing::info!(orchestrator = %member.name, "this orchestrator is the active one now");
            } else if is_new {
                member.polled.send_replace(false);
            }
        }
        changed && !is_down
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::capacity::turns::{Precedence, Turns};

    #[test]
    fn one_that_was_down_before_it_stood_by_gets_the_only_slot_when_it_serves_again() {
        let slots = Slots::new(1, &[], Turns::new(Precedence::Rank, &[1, 1, 1]));
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let fleet = Fleet::new(MultiOrchestratorMode::Failover, names, slots.clone());
        fleet.on_contact(OrchestratorIndex(0), Contact::Gone);
        fleet.on_contact(OrchestratorIndex(1), Contact::Gone);
        assert!(fleet.on_registered(OrchestratorIndex(0)));
        fleet.on_contact(OrchestratorIndex(0), Contact::Gone);
        assert_eq!(*fleet.member(OrchestratorIndex(1)).role.borrow(), Role::Active);
        fleet.on_registered(OrchestratorIndex(1));
        assert!(slots.acquire(OrchestratorIndex(1)).now_or_never().is_some());
    }
}
