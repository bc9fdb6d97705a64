//! How many results may be on their way at once. Pure.
//!
//! | state | event | next |
//! |---|---|---|
//! | any | the credentials are refused | knocking: nothing for 5 s, then a single try, until one is answered otherwise |
//! | any | no answer, a 5xx or the like, or a page of another server | narrow: one try at a time, 100 ms apart |
//! | knocking | 429 | widening |
//! | knocking, narrow | the orchestrator takes a result, or refuses its body | widening: at most as many at once as there are slots |
//! | widening | no result is ready any more | open |
//!
//! Each try in the narrow state is that of another result, since a result that failed waits behind those that are ready.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

/// The number of a result in the outbox.
pub(crate) type Id = u64;

/// The time between two tries while the orchestrator takes nothing: at most 10 a second.
const PACE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    /// The worker's credentials are refused.
    Knocking(Trial),
    /// The orchestrator takes nothing.
    Narrow(Trial),
    /// It takes results again, after a time in which it took none.
    Widening,
}

/// One try at a time.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// Nothing is sent before this time.
    until: Instant,
    /// The result that is on its way.
    probe: Option<Id>,
}

/// What an answer, or the lack of one, says of the way to the orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It took a result, or refused its body.
    Taken,
    /// It limits the rate of results.
    Limited,
    /// Nobody took anything.
    Nothing,
}

/// The way to one orchestrator, wide or narrow.
#[derive(Debug)]
pub(super) struct Passage {
    state: State,
    /// The tries on their way that began in the widening state.
    widening: BTreeSet<Id>,
    /// The maximum number of tries at once after an outage.
    max_at_once: usize,
    /// The worker ends: tries need not wait for each other any more, since there is no later.
    is_last_call: bool,
}

impl Passage {
    pub(super) fn new(max_at_once: usize) -> Self {
        let (state, widening) = (State::Open, BTreeSet::new());
        Self { state, widening, max_at_once: max_at_once.max(1), is_last_call: false }
    }

    /// Begins with a single try: nobody knows whether the orchestrator takes results.
    pub(super) fn narrow(&mut self, now: Instant) {
        self.state = State::Narrow(Trial { until: now, probe: None });
    }

    fn trial(&mut self) -> Option<&mut Trial> {
        match &mut self.state {
            State::Knocking(trial) | State::Narrow(trial) => Some(trial),
            State::Open | State::Widening => None,
        }
    }

    /// Returns when the next try may begin, if not now.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Knocking(trial) | State::Narrow(trial) => Some(trial.until).filter(|until| *until > now),
            State::Open | State::Widening => None,
        }
    }

    /// Whether results wait because the credentials are refused.
    pub(super) fn is_refused(&self, now: Instant) -> bool {
        matches!(self.state, State::Knocking(_)) && self.closed_until(now).is_some()
    }

    /// Whether a further try has to wait for the end of one of those that are on their way.
    pub(super) fn is_taken(&self) -> bool {
        match self.state {
            State::Knocking(trial) => trial.probe.is_some(),
            State::Narrow(trial) => trial.probe.is_some() && !self.is_last_call,
            // A try that hangs since the outage does not count.
            State::Widening => self.widening.len() >= self.max_at_once,
            State::Open => false,
        }
    }

    /// A try begins.
    pub(super) fn on_try(&mut self, id: Id, now: Instant) {
        if let State::Narrow(trial) = &mut self.state {
            trial.until = now + PACE;
        }
        if let Some(trial) = self.trial() {
            trial.probe = Some(id);
        }
        if let State::Widening = self.state {
            self.widening.insert(id);
        }
    }

    /// A try has ended.
    pub(super) fn on_end(&mut self, id: Id) {
        self.widening.remove(&id);
        if let Some(trial) = self.trial() {
            // Another result may be the probe.
            trial.probe.take_if(|probe| *probe == id);
        }
    }

    /// No result is ready any more.
    pub(super) fn on_drained(&mut self) {
        if let State::Widening = self.state {
            self.state = State::Open;
        }
    }

    pub(super) fn on_sign(&mut self, sign: Sign, now: Instant) {
        match (sign, self.state) {
            (Sign::Taken, State::Knocking(_) | State::Narrow(_)) | (Sign::Limited, State::Knocking(_)) => {
                self.widening.clear();
                self.state = State::Widening;
            }
            (Sign::Nothing, State::Knocking(Trial { probe, .. })) => {
                self.state = State::Narrow(Trial { until: now + PACE, probe });
            }
            (Sign::Nothing, State::Open | State::Widening) => {
                self.state = State::Narrow(Trial { until: now + PACE, probe: None });
            }
            _ => {}
        }
    }

    /// The credentials are refused. Returns when the next try may begin: several tries that were refused at once make a
    /// single pause, not a longer one.
    pub(super) fn on_refused(&mut self, now: Instant, delay: Duration) -> Instant {
        let (until, probe) = match self.state {
            State::Knocking(trial) if trial.until > now => (trial.until, trial.probe),
            State::Knocking(trial) | State::Narrow(trial) => (now + delay, trial.probe),
            State::Open | State::Widening => (now + delay, None),
        };
        self.state = State::Knocking(Trial { until, probe });
        until
    }

    /// The orchestrator is up again, or the worker is about to end: then not even refused credentials are waited for.
    pub(super) fn on_offer(&mut self, is_last_call: bool, now: Instant) {
        self.is_last_call |= is_last_call;
        let is_patient = matches!(self.state, State::Knocking(_)) && !is_last_call;
        if let Some(trial) = self.trial().filter(|_| !is_patient) {
            // A try that hangs since before does not count any more.
            *trial = Trial { until: now, probe: None };
        }
    }
}
