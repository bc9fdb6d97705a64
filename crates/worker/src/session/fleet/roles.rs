//! What part each orchestrator plays. Pure.
//!
//! Together (`ROUND_ROBIN`, `WATERFALL`, or only one): all are active, always. One that is down is merely given no
//! slot that another could use.
//!
//! `FAILOVER`: exactly one is active, the first healthy in the list.
//!
//! | event | the active one | others |
//! |---|---|---|
//! | the active one is down | probed every 10 s | the first that is not known to be down becomes active at once |
//! | all are down | | all are probed, after growing delays |
//! | one is registered with, and none before it is active | active | those after it are left: standby |
//! | one after the active is registered with (it was probed while all were down) | stays | it is left again |

use super::signs::ContactHistory;
use crate::peer::answer::Contact;

/// What part an orchestrator plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Registered with, polled, sent heartbeats.
    Active,
    /// Left alone, but for what came from it.
    Standby,
    /// Down: registered with now and then, which makes it active.
    Probed(Pace),
}

/// How often an orchestrator that is down is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Another stands in for it.
    Seldom,
    /// No other is there: as if it were the only one.
    Backoff,
}

/// The part of all orchestrators, in their order.
#[derive(Debug)]
pub(super) struct Fleet {
    health: Vec<ContactHistory>,
    failover: Option<Failover>,
}

#[derive(Debug)]
struct Failover {
    active: Option<usize>,
}

impl Fleet {
    /// So many orchestrators. With `failover` they stand in for each other, if there are several.
    pub(super) fn new(count: usize, failover: bool) -> Self {
        let failover = (failover && count > 1).then_some(Failover { active: Some(0) });
        Self { health: (0..count).map(|_| ContactHistory::default()).collect(), failover }
    }

    pub(super) fn role(&self, who: usize) -> Role {
        match self.failover.as_ref().map(|failover| failover.active) {
            None => Role::Active,
            Some(None) => Role::Probed(Pace::Backoff),
            Some(Some(active)) if active == who => Role::Active,
            Some(Some(active)) if active > who => Role::Probed(Pace::Seldom),
            Some(Some(_)) => Role::Standby,
        }
    }

    pub(super) fn is_down(&self, who: usize) -> bool {
        self.health[who].is_down()
    }

    /// One gave a sign. True when it is up or down otherwise than before.
    pub(super) fn heard(&mut self, who: usize, contact: Contact) -> bool {
        let is_active = self.role(who) == Role::Active;
        if contact == Contact::Well && matches!(self.role(who), Role::Probed(_)) {
            // An open poll or a late heartbeat may still be answered: only a registration makes it active.
            return false;
        }
        let changed = self.health[who].on(contact);
        if changed && is_active && self.health[who].is_down() {
            let healthy = self.health.iter().position(|health| !health.is_down());
            if let Some(failover) = &mut self.failover {
                failover.active = healthy;
            }
        }
        changed
    }

    /// One accepted a registration. True when it was down before.
    pub(super) fn registered(&mut self, who: usize) -> bool {
        let was_down = self.health[who].on(Contact::Well);
        if let Some(failover) = &mut self.failover
            && failover.active.is_none_or(|active| who < active)
        {
            failover.active = Some(who);
            // Nobody looks after those any more.
            self.health[who + 1..].iter_mut().for_each(ContactHistory::forget);
        }
        was_down
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roles(fleet: &Fleet) -> Vec<Role> {
        (0..fleet.health.len()).map(|who| fleet.role(who)).collect()
    }

    const SELDOM: Role = Role::Probed(Pace::Seldom);
    const BACKOFF: Role = Role::Probed(Pace::Backoff);

    #[test]
    fn the_next_takes_over_at_once_and_the_first_comes_back() {
        let mut fleet = Fleet::new(3, true);
        assert_eq!(roles(&fleet), [Role::Active, Role::Standby, Role::Standby]);
        assert!(fleet.heard(0, Contact::Gone));
        assert_eq!(roles(&fleet), [SELDOM, Role::Active, Role::Standby]);
        assert!(!fleet.heard(0, Contact::Well), "an old poll's answer brings nobody back");
        assert!(fleet.heard(1, Contact::Gone));
        assert_eq!(roles(&fleet), [SELDOM, SELDOM, Role::Active]);
        assert!(fleet.registered(0));
        assert_eq!(roles(&fleet), [Role::Active, Role::Standby, Role::Standby]);
        fleet.heard(0, Contact::Gone);
        assert_eq!(
            roles(&fleet),
            [SELDOM, Role::Active, Role::Standby],
            "nothing was known of the second any more"
        );
    }

    #[test]
    fn a_standby_that_answers_again_is_healthy_again() {
        let mut fleet = Fleet::new(3, true);
        // Left a while ago, it still gets heartbeats.
        assert!(fleet.heard(1, Contact::Gone) && fleet.heard(1, Contact::Well));
        fleet.heard(0, Contact::Gone);
        assert_eq!(roles(&fleet), [SELDOM, Role::Active, Role::Standby]);
    }

    #[test]
    fn when_all_are_down_all_are_probed_and_the_first_that_answers_serves() {
        let mut fleet = Fleet::new(2, true);
        fleet.heard(0, Contact::Gone);
        fleet.heard(1, Contact::Gone);
        assert_eq!(roles(&fleet), [BACKOFF, BACKOFF]);
        assert!(fleet.registered(1));
        assert_eq!(roles(&fleet), [SELDOM, Role::Active]);
        assert!(fleet.registered(0));
        assert_eq!(roles(&fleet), [Role::Active, Role::Standby]);
        fleet.registered(1);
        assert_eq!(roles(&fleet), [Role::Active, Role::Standby], "a late answer to a probe changes nothing");
    }

    #[test]
    fn together_all_are_active_whatever_happens_to_them() {
        for mut fleet in [Fleet::new(3, false), Fleet::new(1, true)] {
            assert!(fleet.heard(0, Contact::Gone) && fleet.is_down(0));
            assert!(roles(&fleet).iter().all(|role| *role == Role::Active));
            assert!(fleet.heard(0, Contact::Well) && !fleet.is_down(0), "any sign of life will do");
        }
    }

    proptest! {
        /// At most one is active, it is the first that is not down, and without one all are probed.
        #[test]
        fn the_active_one_is_the_first_healthy(
            count in 2usize..5,
            events in proptest::collection::vec((0usize..5, 0u8..4), 0..100),
        ) {
            let mut fleet = Fleet::new(count, true);
            for (who, event) in events {
                let who = who % count;
                match event {
                    0 => { fleet.heard(who, Contact::Gone); }
                    1 => { fleet.heard(who, Contact::Failed); }
                    2 => { fleet.heard(who, Contact::Well); }
                    // Only those that are to be registered with are.
                    _ if fleet.role(who) != Role::Standby => { fleet.registered(who); }
                    _ => {}
                }
                let active: Vec<usize> = (0..count).filter(|who| fleet.role(*who) == Role::Active).collect();
                prop_assert!(active.len() <= 1);
                match active.first() {
                    Some(active) => {
                        prop_assert!(!fleet.is_down(*active));
                        prop_assert!((0..*active).all(|who| fleet.is_down(who) && fleet.role(who) == SELDOM));
                        prop_assert!((active + 1..count).all(|who| fleet.role(who) == Role::Standby));
                    }
                    None => prop_assert!((0..count).all(|who| fleet.is_down(who) && fleet.role(who) == BACKOFF)),
                }
            }
        }
    }
}
