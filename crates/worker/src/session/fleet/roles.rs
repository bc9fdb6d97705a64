//! The role of each orchestrator, and whether it is up or down. Pure.
//!
//! Where orchestrators serve together (`ROUND_ROBIN`, `WATERFALL`, or a single one), all are always active. An
//! orchestrator that is down only gets no slot that another could use.
//!
//! With `FAILOVER` exactly one is active, the first healthy one in the list:
//!
//! | event | the active one | others |
//! |---|---|---|
//! | the active one is down | probed every 10 s | the first that is not known to be down becomes active at once |
//! | all are down | probed after growing delays | probed after growing delays |
//! | a registration is accepted, and none before it in the list is active | active | those after it: standby |
//! | a registration is accepted after the active one in the list (probed while all were down) | stays active | standby |
//! | the active one has refused one kind of exchange for long (see [`refusals`](super::refusals)), and another is not known to be down | probed every 5 min | as if it were down |
//!
//! An orchestrator is up or down by its contacts. Registrations, heartbeats and polls count; 429, refused credentials
//! and malformed tasks do not:
//!
//! | contact | while it is up | while it is down |
//! |---|---|---|
//! | [`Contact::Well`] | its failures are forgotten | up |
//! | [`Contact::Failed`] | down at the third in a row | |
//! | [`Contact::Gone`] | down | |

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::refusals::Refusals;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::peer::answer::{Contact, Exchange};

/// The number of failures in a row after which an orchestrator is down.
const FAILURES_OF_DOWN: u32 = 3;

/// The role of an orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The worker registers with it, polls it and sends it heartbeats.
    Active,
    /// Nothing is sent to it, except about tasks that came from it.
    Standby,
    /// It is down. A registration is tried now and then, and makes it active when it is accepted.
    Probed(Pace),
}

/// The rate at which an orchestrator that is down is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Every 10 s: another one is active.
    Seldom,
    /// Every 5 min: another one is active, and this one accepted registrations, but nothing came of it.
    Rarely,
    /// After growing delays, like a single orchestrator: all are down.
    Backoff,
}

/// The roles of all orchestrators, in their order.
#[derive(Debug)]
pub(super) struct Roles {
    histories: Vec<ContactHistory>,
    /// Whether only one of them serves.
    is_failover: bool,
    /// The one that serves, with failover; `None` while all are down.
    active: Option<OrchestratorIndex>,
}

/// The contacts with one orchestrator.
#[derive(Debug, Default)]
struct ContactHistory {
    /// The number of failures in a row.
    failures: u32,
    is_down: bool,
    /// It is down because it refused one kind of exchange for long.
    is_refusing: bool,
    refusals: Refusals,
}

impl ContactHistory {
    /// Takes in a contact. Returns true if the orchestrator went up or down.
    fn on_contact(&mut self, contact: Contact) -> bool {
        let is_down = match contact {
            Contact::Well => {
                self.failures = 0;
                false
            }
            Contact::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.is_down || self.failures >= FAILURES_OF_DOWN
            }
            Contact::Gone => true,
        };
        std::mem::replace(&mut self.is_down, is_down) != is_down
    }
}

impl Roles {
    /// The roles of `count` orchestrators at the start.
    pub(super) fn new(count: usize, is_failover: bool) -> Self {
        Self {
            histories: (0..count).map(|_| ContactHistory::default()).collect(),
            is_failover: is_failover && count > 1,
            active: Some(OrchestratorIndex(0)),
        }
    }

    pub(super) fn role(&self, orchestrator: OrchestratorIndex) -> Role {
        match self.active.map(|active| orchestrator.cmp(&active)) {
            _ if !self.is_failover => Role::Active,
            None => Role::Probed(Pace::Backoff),
            Some(Ordering::Less) if self.histories[orchestrator.0].is_refusing => Role::Probed(Pace::Rarely),
            Some(Ordering::Less) => Role::Probed(Pace::Seldom),
            Some(Ordering::Equal) => Role::Active,
            Some(Ordering::Greater) => Role::Standby,
        }
    }

    pub(super) fn is_down(&self, orchestrator: OrchestratorIndex) -> bool {
        self.histories[orchestrator.0].is_down
    }

    /// Takes in a contact. Returns true if the orchestrator went up or down.
    pub(super) fn on_contact(&mut self, orchestrator: OrchestratorIndex, contact: Contact) -> bool {
        let role = self.role(orchestrator);
        if contact == Contact::Well && matches!(role, Role::Probed(_)) {
            // An open poll or a late heartbeat may still be answered: only a registration makes it active.
            return false;
        }
        let changed = self.histories[orchestrator.0].on_contact(contact);
        if changed && role == Role::Active && self.is_down(orchestrator) {
            self.histories[orchestrator.0].refusals.on_standby();
            self.choose_active();
        }
        changed
    }

    fn choose_active(&mut self) {
        self.active = self.histories.iter().position(|history| !history.is_down).map(OrchestratorIndex);
    }

    /// Takes in the end of an exchange. Returns the time without a success of this kind if the orchestrator is left for it.
    pub(super) fn on_exchange(
        &mut self,
        orchestrator: OrchestratorIndex,
        exchange: Exchange,
        is_good: bool,
        now: Instant,
    ) -> Option<Duration> {
        if !self.is_failover || self.role(orchestrator) != Role::Active {
            return None;
        }
        let lasted = self.histories[orchestrator.0].refusals.on_exchange(exchange, is_good, now)?;
        let mut others = self.histories.iter().enumerate().filter(|(index, _)| *index != orchestrator.0);
        // Where no other is known to be better, it stays.
        others.find(|(_, other)| !other.is_down)?;
        let history = &mut self.histories[orchestrator.0];
        history.refusals.on_standby();
        (history.is_down, history.is_refusing) = (true, true);
        self.choose_active();
        Some(lasted)
    }

    /// Whether a success of an exchange would change anything.
    pub(super) fn has_refusals(&self, orchestrator: OrchestratorIndex) -> bool {
        !self.histories[orchestrator.0].refusals.is_empty()
    }

    /// Takes in an accepted registration. Returns true if the orchestrator was down.
    pub(super) fn on_registered(&mut self, orchestrator: OrchestratorIndex) -> bool {
        let was_down = self.histories[orchestrator.0].on_contact(Contact::Well);
        self.histories[orchestrator.0].is_refusing = false;
        if self.is_failover && self.active.is_none_or(|active| orchestrator < active) {
            self.active = Some(orchestrator);
            // Those after it are on standby, and nothing is known of them any more.
            self.histories[orchestrator.0 + 1..].fill_with(ContactHistory::default);
        }
        was_down
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(roles: &Roles) -> Vec<Role> {
        (0..roles.histories.len()).map(|index| roles.role(OrchestratorIndex(index))).collect()
    }

    const SELDOM: Role = Role::Probed(Pace::Seldom);
    const BACKOFF: Role = Role::Probed(Pace::Backoff);

    #[test]
    fn three_failures_in_a_row_or_no_connection_is_down() {
        let mut history = ContactHistory::default();
        for contact in [Contact::Failed, Contact::Failed, Contact::Well, Contact::Failed, Contact::Failed] {
            assert!(!history.on_contact(contact), "not in a row");
        }
        assert!(history.on_contact(Contact::Failed) && history.is_down);
        assert!(!history.on_contact(Contact::Failed) && !history.on_contact(Contact::Gone), "it is no news");
        assert!(history.on_contact(Contact::Well) && !history.is_down);
        assert!(history.on_contact(Contact::Gone) && history.is_down);
    }

    #[test]
    fn the_next_takes_over_at_once_and_the_first_comes_back() {
        let mut roles = Roles::new(3, true);
        assert_eq!(all(&roles), [Role::Active, Role::Standby, Role::Standby]);
        assert!(roles.on_contact(OrchestratorIndex(0), Contact::Gone));
        assert_eq!(all(&roles), [SELDOM, Role::Active, Role::Standby]);
        assert!(
            !roles.on_contact(OrchestratorIndex(0), Contact::Well),
            "the answer to an old poll does not bring it back"
        );
        assert!(roles.on_contact(OrchestratorIndex(1), Contact::Gone));
        assert_eq!(all(&roles), [SELDOM, SELDOM, Role::Active]);
        assert!(roles.on_registered(OrchestratorIndex(0)));
        assert_eq!(all(&roles), [Role::Active, Role::Standby, Role::Standby]);
        roles.on_contact(OrchestratorIndex(0), Contact::Gone);
        assert_eq!(
            all(&roles),
            [SELDOM, Role::Active, Role::Standby],
            "nothing was known of the second any more"
        );
    }

    #[test]
    fn one_that_refuses_polls_for_long_is_left_though_its_heartbeats_succeed_and_gets_a_second_chance() {
        let mut roles = Roles::new(2, true);
        let (first, second) = (OrchestratorIndex(0), OrchestratorIndex(1));
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let refuse = |roles: &mut Roles, from: u64, to: u64| {
            let mut left = (from..=to).step_by(10).filter_map(|seconds| {
                assert!(!roles.on_contact(first, Contact::Well), "heartbeats succeed");
                roles.on_exchange(first, Exchange::Heartbeat, true, at(seconds));
                roles.on_exchange(first, Exchange::Poll, false, at(seconds)).map(|_| seconds)
            });
            left.next()
        };
        assert_eq!(refuse(&mut roles, 0, 1000), Some(60));
        assert_eq!(all(&roles), [Role::Probed(Pace::Rarely), Role::Active]);
        assert!(roles.on_registered(first));
        assert_eq!(all(&roles), [Role::Active, Role::Standby]);
        assert_eq!(refuse(&mut roles, 1000, 2000), Some(1060));
        // The other one is down as well: nothing is better than a refusal.
        roles.on_contact(second, Contact::Gone);
        assert_eq!(all(&roles), [BACKOFF, BACKOFF]);
        roles.on_registered(first);
        roles.on_contact(second, Contact::Gone);
        assert_eq!(refuse(&mut roles, 3000, 4000), None);
        assert_eq!(all(&roles), [Role::Active, Role::Standby]);
    }

    #[test]
    fn a_standby_that_answers_again_is_healthy_again() {
        let mut roles = Roles::new(3, true);
        // Left a while ago, it still gets heartbeats.
        assert!(
            roles.on_contact(OrchestratorIndex(1), Contact::Gone)
                && roles.on_contact(OrchestratorIndex(1), Contact::Well)
        );
        roles.on_contact(OrchestratorIndex(0), Contact::Gone);
        assert_eq!(all(&roles), [SELDOM, Role::Active, Role::Standby]);
    }

    #[test]
    fn when_all_are_down_all_are_probed_and_the_first_that_answers_serves() {
        let mut roles = Roles::new(2, true);
        roles.on_contact(OrchestratorIndex(0), Contact::Gone);
        roles.on_contact(OrchestratorIndex(1), Contact::Gone);
        assert_eq!(all(&roles), [BACKOFF, BACKOFF]);
        assert!(roles.on_registered(OrchestratorIndex(1)));
        assert_eq!(all(&roles), [SELDOM, Role::Active]);
        assert!(roles.on_registered(OrchestratorIndex(0)));
        assert_eq!(all(&roles), [Role::Active, Role::Standby]);
        roles.on_registered(OrchestratorIndex(1));
        assert_eq!(all(&roles), [Role::Active, Role::Standby], "a late answer to a probe changes nothing");
    }

    #[test]
    fn together_all_are_active_whatever_happens_to_them() {
        for mut roles in [Roles::new(3, false), Roles::new(1, true)] {
            assert!(
                roles.on_contact(OrchestratorIndex(0), Contact::Gone) && roles.is_down(OrchestratorIndex(0))
            );
            assert!(all(&roles).iter().all(|role| *role == Role::Active));
            assert!(
                roles.on_contact(OrchestratorIndex(0), Contact::Well) && !roles.is_down(OrchestratorIndex(0)),
                "any good contact will do"
            );
        }
    }

    proptest! {
        /// At most one is active, it is the first that is not down, and without one all are probed.
        #[test]
        fn the_active_one_is_the_first_healthy(
            count in 2usize..5,
            events in proptest::collection::vec((0usize..5, 0u8..7, 0u64..60), 0..100),
        ) {
            let mut roles = Roles::new(count, true);
            let mut now = Instant::now();
            for (index, event, seconds) in events {
                let orchestrator = OrchestratorIndex(index % count);
                now += Duration::from_secs(seconds);
                match event {
                    0 => { roles.on_contact(orchestrator, Contact::Gone); }
                    1 => { roles.on_contact(orchestrator, Contact::Failed); }
                    2 => { roles.on_contact(orchestrator, Contact::Well); }
                    3 => { roles.on_exchange(orchestrator, Exchange::Poll, true, now); }
                    4 | 5 => {
                        let was_active = roles.role(orchestrator) == Role::Active;
                        if roles.on_exchange(orchestrator, Exchange::Poll, false, now).is_some() {
                            prop_assert!(was_active && roles.role(orchestrator) == Role::Probed(Pace::Rarely));
                        }
                    }
                    // Only those that are to be registered with are.
                    _ if roles.role(orchestrator) != Role::Standby => { roles.on_registered(orchestrator); }
                    _ => {}
                }
                let is = |index: &usize, role: Role| roles.role(OrchestratorIndex(*index)) == role;
                let is_down = |index: usize| roles.is_down(OrchestratorIndex(index));
                let active: Vec<usize> = (0..count).filter(|index| is(index, Role::Active)).collect();
                prop_assert!(active.len() <= 1);
                match active.first() {
                    Some(active) => {
                        prop_assert!(!is_down(*active));
                        let is_probed = |index: usize| is(&index, SELDOM) || is(&index, Role::Probed(Pace::Rarely));
                        prop_assert!((0..*active).all(|index| is_down(index) && is_probed(index)));
                        prop_assert!((active + 1..count).all(|index| is(&index, Role::Standby)));
                    }
                    None => prop_assert!((0..count).all(|index| is_down(index) && is(&index, BACKOFF))),
                }
            }
        }
    }
}
