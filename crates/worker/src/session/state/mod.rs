//! Where a conversation with an orchestrator stands, and what is to be done next. Pure.
//!
//! | standing | event | next |
//! |---|---|---|
//! | stranger | registration accepted | known: a heartbeat at once |
//! | stranger | registration failed | stranger: registered with again after a growing delay |
//! | stranger | the worker stops | over: nothing is dispatched to a stranger, open polls are let go |
//! | known | its time has come, or something changed | a heartbeat, unless a 429 asked for silence |
//! | known | forgotten | stranger: registered with again at once; after a delay when not even one heartbeat since the last registration was acknowledged |
//! | known | the worker stops | goodbye is said, then heartbeats as before; being forgotten is ignored |
//! | known | goodbye acknowledged | open polls are let go 1 s later, unless they are to be awaited |
//! | known | goodbye reached nobody | open polls are let go at once |
//!
//! All this is so while the orchestrator is active. Where several stand in for each other ([`Role`]):
//!
//! | role | a stranger | one that knows us |
//! |---|---|---|
//! | becomes active | is registered with at once | likewise: it may have lost us meanwhile |
//! | becomes standby | is left alone | is told that nothing is accepted, despite a silence, and gets heartbeats until its last task is settled; being forgotten ends it |
//! | becomes probed | is registered with every 10 s; after growing delays when all are down | both |

use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use rxon::model::Generation;
use tokio::time::Instant;

use crate::peer::rate::RateGate;
use crate::session::fleet::{Pace, Role};

/// Once an orchestrator knows that the worker is busy it dispatches nothing more; what it dispatched before has
/// arrived by then.
const LET_GO_DELAY: Duration = Duration::from_secs(1);

/// How often an orchestrator is registered with that another stands in for.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// As good as for ever.
const LONG: Duration = Duration::from_secs(3600);

/// What came of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Acknowledged,
    /// The orchestrator does not know the worker.
    Forgotten,
    /// It answered something else, or hung up.
    Refused,
    /// 429: the rate gate has been told.
    TooMany,
    /// Nobody answered.
    Unreachable,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Register,
    /// Send a heartbeat; `probe` asks first whether the worker is known.
    Beat {
        probe: bool,
    },
    SayGoodbye,
    /// Abandon the polls that are open.
    LetGo,
    Wait {
        until: Instant,
    },
    /// There is nobody left to talk to.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Stranger,
    Known {
        generation: Generation,
        /// A heartbeat was acknowledged since the last registration.
        acknowledged: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// The worker stops, and the orchestrator is not told yet.
    Asked,
    Said {
        let_go_at: Option<Instant>,
    },
}

/// What it has not been told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Untold {
    #[default]
    None,
    Change,
    /// That it is left, whatever silence it asked for: what it dispatched from now on nobody would ask for.
    Left,
}

/// A conversation with one orchestrator.
#[derive(Debug)]
pub(super) struct Conversation {
    interval: Duration,
    role: Role,
    relation: Relation,
    stop: Stop,
    registration: Backoff,
    /// When the next registration may be sent, and when the last was.
    attempt_at: Instant,
    attempted: Option<Instant>,
    /// A registration was refused with a time to wait, whatever part is played meanwhile.
    refused_until: Option<Instant>,
    /// It became active again before it was settled: it is registered with anew, and knows us until then.
    renews: bool,
    /// When the next heartbeat is due.
    tick: Instant,
    untold: Untold,
    /// Ask first whether the worker is known: a connection failed.
    doubt: bool,
    /// The last heartbeat found nobody.
    unreachable: bool,
    /// Since the last registration.
    heartbeats: u64,
    gate: RateGate,
    rng: Rng,
}

impl Conversation {
    /// A conversation that begins now. `longest` is the longest delay between two registrations, `gate` that of
    /// heartbeats.
    pub(super) fn new(
        interval: Duration,
        longest: Duration,
        role: Role,
        gate: RateGate,
        now: Instant,
        rng: Rng,
    ) -> Self {
        Self {
            interval,
            role,
            relation: Relation::Stranger,
            stop: Stop::No,
            registration: Backoff::new(Duration::from_secs(1), longest, Jitter::Full),
            attempt_at: now,
            attempted: None,
            refused_until: None,
            renews: false,
            tick: now,
            untold: Untold::None,
            doubt: false,
            unreachable: false,
            heartbeats: 0,
            gate,
            rng,
        }
    }

    /// What is to be done next.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        match (self.relation, self.stop) {
            (Relation::Stranger, Stop::Asked) => {
                self.stop = Stop::Said { let_go_at: None };
                return Step::LetGo;
            }
            (Relation::Stranger, Stop::Said { .. }) => return Step::End,
            (Relation::Known { .. }, Stop::Asked) => return Step::SayGoodbye,
            (Relation::Known { .. }, Stop::Said { let_go_at: Some(at) }) if at <= now => {
                self.stop = Stop::Said { let_go_at: None };
                return Step::LetGo;
            }
            (_, Stop::No | Stop::Said { .. }) => {}
        }
        let attempt_at = self.wants_registration().then_some(self.attempt_at);
        if attempt_at.is_some_and(|at| at <= now) {
            self.attempted = Some(now);
            return Step::Register;
        }
        match self.relation {
            Relation::Known { generation, .. } => self.beat_or_wait(generation, attempt_at, now),
            Relation::Stranger => Step::Wait { until: attempt_at.unwrap_or(now + LONG) },
        }
    }

    fn wants_registration(&self) -> bool {
        self.stop == Stop::No
            && match self.role {
                Role::Active => self.renews || self.relation == Relation::Stranger,
                Role::Probed(_) => true,
                Role::Standby => false,
            }
    }

    fn beat_or_wait(&mut self, generation: Generation, attempt_at: Option<Instant>, now: Instant) -> Step {
        let untold = std::mem::take(&mut self.untold);
        let mut due = untold != Untold::None;
        // A slow answer makes no burst of late heartbeats.
        while self.tick <= now {
            self.tick += self.interval;
            due = true;
        }
        // Where nobody is there the probes find out; heartbeats would only hold them up.
        let in_vain = self.unreachable && matches!(self.role, Role::Probed(_)) && self.stop == Stop::No;
        if in_vain {
            return self.wait(attempt_at);
        }
        if due && (untold == Untold::Left || self.gate.closed_until(now).is_none()) {
            self.heartbeats += 1;
            let doubt = std::mem::take(&mut self.doubt);
            return Step::Beat {
                probe: generation.needs_probes() && (doubt || self.heartbeats.is_multiple_of(2)),
            };
        }
        self.wait(attempt_at)
    }

    fn wait(&self, attempt_at: Option<Instant>) -> Step {
        let earliest = [attempt_at, self.let_go_at()].into_iter().flatten().min();
        Step::Wait { until: earliest.map_or(self.tick, |at| at.min(self.tick)) }
    }

    /// When open polls are to be let go, if that is known.
    pub(super) fn let_go_at(&self) -> Option<Instant> {
        match self.stop {
            Stop::Said { let_go_at } => let_go_at,
            _ => None,
        }
    }

    /// Whether there are heartbeats to be sent, so that changes matter.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.relation, Relation::Known { .. })
    }

    /// Whether it was left for another, and has tasks of ours yet.
    pub(super) fn is_left(&self) -> bool {
        self.is_known() && self.role != Role::Active && self.stop == Stop::No
    }

    /// Whether it has been told that the worker stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop != Stop::No
    }

    /// Something worth a heartbeat happened.
    pub(super) fn on_change(&mut self) {
        self.untold = self.untold.max(Untold::Change);
    }

    /// A connection failed: the orchestrator may have restarted.
    pub(super) fn on_doubt(&mut self) {
        self.doubt = true;
    }

    /// It plays another part now.
    pub(super) fn on_role(&mut self, role: Role, now: Instant) {
        // Once the worker stops there is only the goodbye to be said.
        if std::mem::replace(&mut self.role, role) == role || self.stop != Stop::No {
            return;
        }
        // One that is left is told at once.
        self.is_told_unless_active();
        self.renews = role == Role::Active;
        let at_once = self.refused_until.map_or(now, |until| until.max(now));
        match role {
            Role::Active => {
                self.attempt_at = at_once;
                self.registration.reset();
            }
            Role::Standby => {}
            Role::Probed(Pace::Seldom) => self.attempt_at = at_once.max(now + PROBE_INTERVAL),
            // Unless it was just tried in vain.
            Role::Probed(Pace::Backoff) => {
                if self.attempted.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1)) {
                    self.attempt_at = at_once;
                    self.registration.reset();
                }
            }
        }
    }

    fn is_told_unless_active(&mut self) {
        self.untold = if self.is_known() && self.role != Role::Active { Untold::Left } else { Untold::None };
    }

    /// Nothing is left that came from it: if it was left, it is let alone from now on.
    pub(super) fn on_settled(&mut self) {
        if self.is_left() {
            self.relation = Relation::Stranger;
        }
    }

    /// The orchestrator accepted the registration, which may have made it active.
    pub(super) fn on_registered(&mut self, generation: Generation, role: Role, now: Instant) {
        self.relation = Relation::Known { generation, acknowledged: false };
        self.role = role;
        self.tick = now;
        self.heartbeats = 0;
        self.doubt = false;
        self.renews = false;
        self.unreachable = false;
        self.is_told_unless_active();
        self.refused_until = None;
        self.attempt_at = now + PROBE_INTERVAL;
    }

    /// It did not; perhaps the reason names the delay.
    pub(super) fn on_not_registered(&mut self, delay: Option<Duration>, now: Instant) {
        self.refused_until = delay.map(|delay| now + delay);
        self.attempt_at = match (self.role, delay) {
            // Counted from when it was sent: one that hangs takes all of that time.
            (Role::Probed(Pace::Seldom), delay) => {
                (self.attempted.unwrap_or(now) + PROBE_INTERVAL).max(now + delay.unwrap_or_default())
            }
            (_, Some(delay)) => now + delay,
            (_, None) => now + self.registration.next(&mut self.rng),
        };
    }

    /// The worker stops.
    pub(super) fn on_stop(&mut self) {
        if self.stop == Stop::No {
            self.stop = Stop::Asked;
        }
    }

    /// A heartbeat is about to be sent, which says whether the worker is idle.
    pub(super) fn on_sent(&mut self, now: Instant, idle: bool) {
        // Silence hides what the worker can take: it begins at a moment when `idle` was reported last.
        self.gate.on_sent(now, idle);
    }

    /// What came of it.
    pub(super) fn on_beat(&mut self, beat: Beat, now: Instant) {
        self.unreachable = beat == Beat::Unreachable;
        match beat {
            Beat::Acknowledged => {
                if let Relation::Known { acknowledged, .. } = &mut self.relation {
                    *acknowledged = true;
                }
                if !self.wants_registration() {
                    self.registration.reset();
                }
            }
            Beat::Forgotten => self.on_forgotten(now),
            Beat::TooMany | Beat::Refused | Beat::Unreachable => {}
        }
    }

    /// The orchestrator does not know the worker any more. Ignored once the worker stops.
    pub(super) fn on_forgotten(&mut self, now: Instant) {
        let Relation::Known { acknowledged, .. } = self.relation else { return };
        if self.stop == Stop::No {
            // One that forgets as fast as it is registered with would make a loop of it.
            let delay = if acknowledged { Duration::ZERO } else { self.registration.next(&mut self.rng) };
            self.relation = Relation::Stranger;
            if self.role == Role::Active {
                self.attempt_at = self.refused_until.map_or(now + delay, |until| until.max(now + delay));
            }
        }
    }

    /// The orchestrator was told that the worker takes nothing more, or could not be.
    pub(super) fn on_goodbye(&mut self, beat: Beat, await_polls: bool, now: Instant) {
        let let_go_at = match beat {
            // Who cannot be reached cannot dispatch, and holds nothing up.
            Beat::Unreachable => Some(now),
            _ if await_polls => None,
            // A stranger to it is dispatched nothing.
            Beat::Acknowledged | Beat::Forgotten => Some(now + LET_GO_DELAY),
            Beat::Refused | Beat::TooMany => None,
        };
        self.stop = Stop::Said { let_go_at };
    }
}

#[cfg(test)]
mod tests;
