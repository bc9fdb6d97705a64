//! The state of a conversation with an orchestrator, and its next step. Pure.
//!
//! | state | event | next |
//! |---|---|---|
//! | stranger | registration accepted | known: a heartbeat at once |
//! | stranger | registration failed | stranger: another registration after a growing delay |
//! | stranger | the worker stops | ended: a stranger is dispatched nothing, open polls are abandoned |
//! | known | a heartbeat is due, or something changed | a heartbeat, unless a 429 asked for silence |
//! | known | a heartbeat is due, and up to two before it are not answered | a heartbeat at its time |
//! | known, newer generation | a heartbeat is due, and the last one did not ask or a connection failed | the question whether the worker is known; the state follows its answer |
//! | known | something changed, and the last heartbeat is not answered | a heartbeat after the answer, or at its time |
//! | known | tasks were added | another registration at once, and again until it is accepted; heartbeats go on |
//! | known | forgotten | stranger: another registration at once; after a growing delay if no heartbeat was acknowledged since the last registration |
//! | known | the worker stops | the goodbye, then heartbeats as before; being forgotten is ignored |
//! | known | goodbye acknowledged | open polls are abandoned 1 s later, unless they are to be awaited |
//! | known | goodbye could not connect | open polls are abandoned at once |
//!
//! This holds while the orchestrator is active. With failover its [`Role`] can change:
//!
//! | new role | a stranger | an orchestrator that knows the worker |
//! |---|---|---|
//! | active | a registration at once | a registration at once: it may have forgotten the worker meanwhile |
//! | standby | nothing is sent | it is told at once, despite a silence, that nothing is accepted; heartbeats go on until its last task is settled or it forgets the worker |
//! | probed | a registration every 10 s or 5 min, or after growing delays when all are down | both |

use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::{Backoff, Jitter};
use rxon::model::Generation;
use tokio::time::Instant;

use crate::peer::rate::RateGate;
use crate::session::fleet::{Pace, Role};

/// The delay between the acknowledged goodbye and the end of open polls: tasks that the orchestrator dispatched before the
/// goodbye have arrived by then.
const ABANDON_DELAY: Duration = Duration::from_secs(1);

/// The time between two registrations with an orchestrator that another one stands in for.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The same for one that accepted registrations, but refused something else for long.
const RARE_PROBE_INTERVAL: Duration = Duration::from_secs(300);

/// The number of heartbeats that may be unanswered at once.
const MAX_UNANSWERED: usize = 3;

/// A wait without an end of its own.
const LONG: Duration = Duration::from_secs(3600);

/// The outcome of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Acknowledged,
    /// The orchestrator does not know the worker.
    Forgotten,
    /// Any other answer, or a connection that ended without one.
    Refused,
    /// 429: the rate gate knows.
    TooMany,
    /// No connection, or no answer in time.
    Unreachable,
}

/// The next step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Register,
    /// Send a heartbeat; with `probe`, first ask whether the worker is known.
    Beat {
        probe: bool,
    },
    SayGoodbye,
    AbandonPolls,
    Wait {
        until: Instant,
    },
    /// Nothing is left to send.
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
    /// The worker stops, and the orchestrator does not know it yet.
    Asked,
    /// The goodbye is over.
    Said {
        abandon_polls_at: Option<Instant>,
    },
}

/// The last registration.
#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    began: Option<Instant>,
    /// It is not answered yet.
    is_open: bool,
}

/// News that the orchestrator has not been sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum News {
    #[default]
    None,
    Change,
    /// It is not active any more. Sent despite a silence, since tasks that it dispatched from now on would not be asked
    /// for.
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
    /// The time of the next registration.
    attempt_at: Instant,
    last_attempt: Attempt,
    /// The end of the wait that a refused registration asked for. It holds in every role.
    refused_until: Option<Instant>,
    /// The orchestrator became active again before its last task was settled, or tasks were added: it is registered with
    /// anew, and counts as known until then.
    renews: bool,
    /// The time of the next regular heartbeat.
    tick: Instant,
    /// A time from which each interval begins with a heartbeat. Without one, the registration begins the first interval.
    rhythm: Option<Instant>,
    news: News,
    /// The next heartbeat asks first whether the worker is known: the last one did not, or a connection failed.
    asks_first: bool,
    /// The last heartbeat could not connect.
    unreachable: bool,
    /// The number of heartbeats that are not answered yet.
    unanswered: usize,
    /// The rate gate of heartbeats.
    gate: RateGate,
    rng: Rng,
}

impl Conversation {
    /// A conversation that begins now, with at most `max_delay` between two registrations.
    pub(super) fn new(
        interval: Duration,
        max_delay: Duration,
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
            registration: Backoff::new(Duration::from_secs(1), max_delay, Jitter::Full),
            attempt_at: now,
            last_attempt: Attempt::default(),
            refused_until: None,
            renews: false,
            tick: now,
            rhythm: None,
            news: News::None,
            asks_first: false,
            unreachable: false,
            unanswered: 0,
            gate,
            rng,
        }
    }

    /// The conversation with one of several orchestrators, whose heartbeats are spread over the interval: orchestrators
    /// that share their storage do not get them at the same time.
    pub(super) fn in_turn(mut self, index: usize, count: usize) -> Self {
        if count > 1 {
            self.rhythm = Some(self.tick + self.interval.mul_f64(index as f64 / count as f64));
        }
        self
    }

    /// Decides the next step.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        match (self.relation, self.stop) {
            (Relation::Stranger, Stop::Asked) => {
                self.stop = Stop::Said { abandon_polls_at: None };
                return Step::AbandonPolls;
            }
            (Relation::Stranger, Stop::Said { .. }) => return Step::End,
            (Relation::Known { .. }, Stop::Asked) => return Step::SayGoodbye,
            (Relation::Known { .. }, Stop::Said { abandon_polls_at: Some(at) }) if at <= now => {
                self.stop = Stop::Said { abandon_polls_at: None };
                return Step::AbandonPolls;
            }
            (_, Stop::No | Stop::Said { .. }) => {}
        }
        let may_register = self.wants_registration() && !self.last_attempt.is_open;
        let attempt_at = may_register.then_some(self.attempt_at);
        if attempt_at.is_some_and(|at| at <= now) {
            self.last_attempt = Attempt { began: Some(now), is_open: true };
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
        let has_room = self.unanswered < MAX_UNANSWERED;
        let mut due = false;
        // A slow answer makes no burst of late heartbeats.
        while has_room && self.tick <= now {
            self.tick += self.interval;
            due = true;
        }
        // A question delays the state; with a regular heartbeat it may, or one that is slow would never be asked.
        let may_ask = due || self.unanswered == 0;
        // A change does not overtake the state before it, which may still be on its way.
        let is_news_due = has_room && (due || self.unanswered == 0 || self.news == News::Left);
        let news = if is_news_due { std::mem::take(&mut self.news) } else { News::None };
        due |= news != News::None;
        // An orchestrator that cannot be reached is left to the probes: heartbeats would only hold them up.
        let is_probed = self.unreachable && matches!(self.role, Role::Probed(_)) && self.stop == Stop::No;
        let may_beat = news == News::Left || self.gate.closed_until(now).is_none();
        if due && may_beat && !is_probed {
            let probe = self.asks_first && generation.needs_probes() && may_ask;
            self.asks_first = !probe;
            self.unanswered += 1;
            return Step::Beat { probe };
        }
        let tick = has_room.then_some(self.tick);
        let earliest = [attempt_at, self.abandon_polls_at(), tick].into_iter().flatten().min();
        Step::Wait { until: earliest.unwrap_or(now + LONG) }
    }

    /// The time of the next registration, while one is due.
    pub(super) fn attempt_at(&self) -> Instant {
        self.attempt_at
    }

    /// The time of the next regular heartbeat.
    pub(super) fn next_heartbeat(&self) -> Instant {
        self.tick
    }

    /// The time at which open polls are abandoned, once it is known.
    pub(super) fn abandon_polls_at(&self) -> Option<Instant> {
        match self.stop {
            Stop::Said { abandon_polls_at } => abandon_polls_at,
            _ => None,
        }
    }

    /// Whether heartbeats are sent, so that changes matter.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.relation, Relation::Known { .. })
    }

    /// Whether another one became active while this one still has tasks of ours.
    pub(super) fn is_left(&self) -> bool {
        self.is_known() && self.role != Role::Active && self.stop == Stop::No
    }

    /// Whether the worker stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop != Stop::No
    }

    /// Takes in a change that is worth a heartbeat.
    pub(super) fn on_change(&mut self) {
        self.news = self.news.max(News::Change);
    }

    /// Takes in that there are tasks that the last registration did not name. Another role than the active one registers
    /// anew on its own.
    pub(super) fn on_new_tasks(&mut self, now: Instant) {
        if self.is_known() && self.role == Role::Active && !self.renews {
            self.renews = true;
            self.attempt_at = self.refused_until.map_or(now, |until| until.max(now));
        }
    }

    /// Takes in that a connection failed: the orchestrator may have restarted.
    pub(super) fn on_doubt(&mut self) {
        self.asks_first = true;
    }

    /// Takes in the role, if it is a new one.
    pub(super) fn on_role(&mut self, role: Role, now: Instant) {
        // Once the worker stops, only the goodbye is left to send.
        if std::mem::replace(&mut self.role, role) == role || self.stop != Stop::No {
            return;
        }
        self.set_news_of_role();
        self.renews = role == Role::Active;
        let at_once = self.refused_until.map_or(now, |until| until.max(now));
        match role {
            Role::Active => {
                self.attempt_at = at_once;
                self.registration.reset();
            }
            Role::Standby => {}
            Role::Probed(Pace::Seldom | Pace::Rarely) => {
                self.attempt_at = at_once.max(now + self.probe_interval());
            }
            // Unless a registration has just failed.
            Role::Probed(Pace::Backoff) => {
                if self.last_attempt.began.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1)) {
                    self.attempt_at = at_once;
                    self.registration.reset();
                }
            }
        }
    }

    /// An orchestrator that knows the worker and is not active is told so at once.
    fn set_news_of_role(&mut self) {
        self.news = if self.is_known() && self.role != Role::Active { News::Left } else { News::None };
    }

    /// Takes in that no poll, task or result of this orchestrator is left. Unless it is active, nothing more is sent to it.
    pub(super) fn on_settled(&mut self) {
        if self.is_left() {
            self.relation = Relation::Stranger;
        }
    }

    /// Takes in an accepted registration, which may have made the orchestrator active.
    pub(super) fn on_registered(&mut self, generation: Generation, role: Role, now: Instant) {
        self.relation = Relation::Known { generation, acknowledged: false };
        self.role = role;
        self.tick = now;
        if let Some(rhythm) = self.rhythm {
            // The heartbeat that is due at once belongs to the interval that has begun: the next keeps to the rhythm.
            let since = (now + self.interval).saturating_duration_since(rhythm).as_nanos();
            let since = Duration::from_nanos((since % self.interval.as_nanos().max(1)) as u64);
            self.tick = now.checked_sub(since).unwrap_or(now);
        }
        self.last_attempt.is_open = false;
        self.unanswered = 0;
        self.asks_first = false;
        self.renews = false;
        self.unreachable = false;
        self.set_news_of_role();
        self.refused_until = None;
        self.attempt_at = now + self.probe_interval();
    }

    /// The time between two registrations with it while another one stands in for it.
    fn probe_interval(&self) -> Duration {
        match self.role {
            Role::Probed(Pace::Rarely) => RARE_PROBE_INTERVAL,
            _ => PROBE_INTERVAL,
        }
    }

    /// Takes in a failed registration, and the delay before the next if the reason determines it.
    pub(super) fn on_not_registered(&mut self, delay: Option<Duration>, now: Instant) {
        self.last_attempt.is_open = false;
        self.refused_until = delay.map(|delay| now + delay);
        self.attempt_at = match (self.role, delay) {
            // Counted from the start of the attempt: one that hangs takes all of that time.
            (Role::Probed(Pace::Seldom | Pace::Rarely), delay) => (self.last_attempt.began.unwrap_or(now)
                + self.probe_interval())
            .max(now + delay.unwrap_or_default()),
            (_, Some(delay)) => now + delay,
            (_, None) => now + self.registration.next(&mut self.rng),
        };
    }

    /// Takes in that the worker stops.
    pub(super) fn on_stop(&mut self) {
        if self.stop == Stop::No {
            self.stop = Stop::Asked;
        }
    }

    /// Takes in that a heartbeat is about to be sent, and whether it reports the worker as idle.
    pub(super) fn on_sent(&mut self, now: Instant, idle: bool) {
        // During a silence the orchestrator goes by the last report, so a silence begins after `idle` was reported.
        self.gate.on_sent(now, idle);
    }

    /// Takes in that the answers to earlier heartbeats are not waited for any more.
    pub(super) fn on_unanswered_forgotten(&mut self) {
        self.unanswered = 0;
    }

    /// Takes in the outcome of a heartbeat.
    pub(super) fn on_beat(&mut self, beat: Beat, now: Instant) {
        self.unanswered = self.unanswered.saturating_sub(1);
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

    /// Takes in that the orchestrator does not know the worker any more. Ignored once the worker stops.
    pub(super) fn on_forgotten(&mut self, now: Instant) {
        let Relation::Known { acknowledged, .. } = self.relation else { return };
        if self.stop == Stop::No {
            // An orchestrator that forgets each registration at once must not cause a busy loop.
            let delay = if acknowledged { Duration::ZERO } else { self.registration.next(&mut self.rng) };
            self.relation = Relation::Stranger;
            if self.role == Role::Active {
                self.attempt_at = self.refused_until.map_or(now + delay, |until| until.max(now + delay));
            }
        }
    }

    /// Takes in the outcome of the goodbye.
    pub(super) fn on_goodbye(&mut self, beat: Beat, await_polls: bool, now: Instant) {
        let abandon_polls_at = match beat {
            // It can dispatch nothing.
            Beat::Unreachable => Some(now),
            _ if await_polls => None,
            // An orchestrator that has forgotten the worker dispatches nothing to it.
            Beat::Acknowledged | Beat::Forgotten => Some(now + ABANDON_DELAY),
            Beat::Refused | Beat::TooMany => None,
        };
        self.stop = Stop::Said { abandon_polls_at };
    }
}

#[cfg(test)]
mod tests;
