//! Several orchestrators: who is up, what part each plays, and whose turn it is.
//!
//! All decisions are pure: [`health`], [`fleet`] and [`turns`]. Here they are shared by the control path, which
//! registers and sends heartbeats, and the data path, which polls.

mod roles;
mod signs;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

pub(crate) use roles::{Pace, Role};
pub(crate) use signs::Sign;

use self::roles::Fleet;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::slots::Slots;
use crate::config::MultiOrchestratorMode;
use crate::threads::lock;

/// The orchestrators of a worker, in the order of their priorities.
#[derive(Debug)]
pub(crate) struct Orchestrators {
    fleet: Mutex<Fleet>,
    posts: Vec<Post>,
    slots: Arc<Slots>,
}

/// What the parts of one orchestrator's session wait for.
#[derive(Debug)]
struct Post {
    name: String,
    role: watch::Sender<Role>,
    /// It is active and has accepted a registration: it may be polled.
    polled: watch::Sender<bool>,
    /// Nobody was there when it was tried last.
    unreachable: watch::Sender<bool>,
    /// How often it was there again after nobody was: a poller that looks late misses none.
    returns: watch::Sender<u64>,
    /// It gave another sign than that it is well: only then does the next such sign matter.
    troubled: AtomicBool,
}

impl Post {
    fn is_there(&self) {
        if self.unreachable.send_replace(false) {
            self.returns.send_modify(|returns| *returns += 1);
        }
    }
}

impl Orchestrators {
    /// Orchestrators with these names.
    pub(crate) fn new(mode: MultiOrchestratorMode, names: Vec<String>, slots: Arc<Slots>) -> Self {
        let fleet = Fleet::new(names.len(), mode == MultiOrchestratorMode::Failover);
        let post = |(who, name)| Post {
            name,
            role: watch::Sender::new(fleet.role(who)),
            polled: watch::Sender::new(false),
            unreachable: watch::Sender::new(false),
            returns: watch::Sender::new(0),
            troubled: AtomicBool::new(false),
        };
        let posts = names.into_iter().enumerate().map(post).collect();
        Self { fleet: Mutex::new(fleet), posts, slots }
    }

    /// The slots that the orchestrators share.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> Arc<Slots> {
        self.slots.clone()
    }

    /// The part this one plays, from now on.
    pub(crate) fn role(&self, who: usize) -> watch::Receiver<Role> {
        self.posts[who].role.subscribe()
    }

    /// Whether this one may be polled, from now on.
    pub(crate) fn polled(&self, who: usize) -> watch::Receiver<bool> {
        self.posts[who].polled.subscribe()
    }

    /// Whether this one may be polled now.
    pub(crate) fn is_polled(&self, who: usize) -> bool {
        *self.posts[who].polled.borrow()
    }

    /// Whether nobody is there, from now on.
    pub(crate) fn unreachable(&self, who: usize) -> watch::Receiver<bool> {
        self.posts[who].unreachable.subscribe()
    }

    /// Changes when this one is there again after nobody was.
    pub(crate) fn returns(&self, who: usize) -> watch::Receiver<u64> {
        self.posts[who].returns.subscribe()
    }

    /// Whether this one is served.
    pub(crate) fn is_active(&self, who: usize) -> bool {
        *self.posts[who].role.borrow() == Role::Active
    }

    /// Whether this one is known to be down.
    pub(crate) fn is_down(&self, who: usize) -> bool {
        lock(&self.fleet).is_down(who)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.posts.len()
    }

    /// One gave a sign. True when it is up again after it was down.
    pub(crate) fn heard(&self, who: usize, sign: Sign) -> bool {
        // Every poll says so: usually it is no news, and costs nothing.
        if sign == Sign::Well && !self.posts[who].troubled.load(Ordering::Relaxed) {
            return false;
        }
        let mut fleet = lock(&self.fleet);
        match sign {
            Sign::Gone => drop(self.posts[who].unreachable.send_replace(true)),
            Sign::Well => self.posts[who].is_there(),
            Sign::Failed => {}
        }
        let changed = fleet.heard(who, sign);
        self.posts[who].troubled.store(sign != Sign::Well || fleet.is_down(who), Ordering::Relaxed);
        self.rearranged(who, changed, &fleet)
    }

    /// One accepted a registration. True when it is up again after it was down.
    pub(crate) fn registered(&self, who: usize) -> bool {
        let mut fleet = lock(&self.fleet);
        let was_down = fleet.registered(who);
        self.posts[who].troubled.store(false, Ordering::Relaxed);
        self.posts[who].is_there();
        let is_up = self.rearranged(who, was_down, &fleet);
        if fleet.role(who) == Role::Active {
            self.posts[who].polled.send_replace(true);
        }
        is_up
    }

    /// Tells everybody what has changed. True when one is up again.
    fn rearranged(&self, who: usize, changed: bool, fleet: &Fleet) -> bool {
        if changed {
            self.say(who, fleet.is_down(who));
        }
        for (index, post) in self.posts.iter().enumerate() {
            // Of some that were down nothing is known any more.
            self.slots.set_down(OrchestratorIndex(index), fleet.is_down(index));
            let role = fleet.role(index);
            let is_new = post.role.send_if_modified(|known| std::mem::replace(known, role) != role);
            if !is_new {
                continue;
            }
            if role == Role::Active {
                tracing::info!(orchestrator = %post.name, "this orchestrator is the active one now");
            } else {
                post.polled.send_replace(false);
            }
        }
        changed && !fleet.is_down(who)
    }

    fn say(&self, who: usize, is_down: bool) {
        let orchestrator = &self.posts[who].name;
        // Of a single one its requests tell.
        match (self.count() == 1, is_down) {
            (true, _) => {}
            (false, true) => tracing::warn!(%orchestrator, "the orchestrator is down"),
            (false, false) => tracing::info!(%orchestrator, "the orchestrator is up again"),
        }
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
        let all = Orchestrators::new(MultiOrchestratorMode::Failover, names, slots.clone());
        all.heard(0, Sign::Gone);
        all.heard(1, Sign::Gone);
        assert!(all.registered(0));
        all.heard(0, Sign::Gone);
        assert!(all.is_active(1));
        all.registered(1);
        assert!(slots.acquire(OrchestratorIndex(1)).now_or_never().is_some());
    }
}
