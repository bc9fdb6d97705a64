//! Keeping below an orchestrator's limit on the rate of requests.
//!
//! The known orchestrators count requests of one kind in a window that every further request extends, refused ones
//! too, and answer 429 without `Retry-After`. Only silence opens it again: 45 s are not enough, 61 s are (measured).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::add_quarter;
use tokio::time::Instant;

use crate::threads::lock;

/// The delay after refused credentials, plus up to a quarter.
const UNAUTHORIZED_INTERVAL: Duration = Duration::from_secs(5);

/// The silence that opens a window of requests again (measured, see above).
const USUAL_SILENCE: Duration = Duration::from_secs(61);

/// The maximum number of seconds added to it, so that workers do not come back together.
const SILENCE_JITTER: f64 = 5.0;

/// The shortest silence: `Retry-After: 0`, or a date that is past, does not permit requests without a pause.
const MIN_SILENCE: Duration = Duration::from_secs(1);

/// A pause between two requests that opens a new window, as silence does.
const WINDOW: Duration = Duration::from_secs(60);

/// The number of requests short of a known limit at which silence begins by itself.
const MARGIN: u32 = 2;

/// Far below every default limit of the known orchestrators, of which the lowest is 60. So low a limit is believed only
/// when a second window confirms it, and never for good: a stray 429 is likelier.
const LOW: u32 = 30;

/// The number of windows without a refusal after which a low limit, or one that was learned in a window of unknown
/// beginning, is forgotten.
const TRUST: u32 = 10;

/// Returns the delay after refused credentials.
pub(crate) fn after_refused_credentials(rng: &mut Rng) -> Duration {
    add_quarter(UNAUTHORIZED_INTERVAL, rng)
}

/// The gate of one kind of request to one orchestrator. Clones share their state: the senders ask it before each
/// request, and [`Peer::record`](super::Peer::record) tells it the answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct RateGate(Arc<Mutex<Requests>>);

impl RateGate {
    /// Returns when the next request may be sent, or `None` if it may be sent now.
    pub(crate) fn closed_until(&self, now: Instant) -> Option<Instant> {
        lock(&self.0).silent_until.filter(|until| *until > now)
    }

    /// Returns the time until the next request may be sent.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        self.closed_until(now).map_or(Duration::ZERO, |until| until.duration_since(now))
    }

    /// Counts a request that is about to be sent. No silence begins after it unless `convenient`.
    pub(crate) fn on_sent(&self, now: Instant, convenient: bool) {
        let state = &mut *lock(&self.0);
        if state.last.is_some_and(|last| now.duration_since(last) >= WINDOW) {
            state.window_is_ours = true;
            (state.sent, state.accepted) = (0, 0);
        }
        state.sent += 1;
        state.last = Some(now);
        if let Some(limit) = &mut state.limit
            && convenient
            && state.sent + MARGIN >= limit.requests
        {
            limit.clean_windows += 1;
            // Requests of a predecessor with our name may have lowered it: it is met once more, to be certain.
            if !limit.certain && limit.clean_windows >= TRUST {
                state.limit = None;
            }
            state.be_silent(now, None);
        }
    }

    /// Counts an answer other than 429.
    pub(crate) fn on_accepted(&self) {
        lock(&self.0).accepted += 1;
    }

    /// Begins the silence after a 429.
    pub(crate) fn on_refused(&self, now: Instant, retry_after: Option<Duration>) {
        let state = &mut *lock(&self.0);
        // After only a few requests, the worker has not met its own limit: a predecessor with the same id filled the
        // window, or several refusals were under way. A 429 with `Retry-After` says nothing of such a window.
        if retry_after.is_none() && state.accepted > MARGIN && state.is_believed() {
            let known = state.limit.filter(|limit| limit.certain || !state.window_is_ours);
            let requests = known.map_or(state.accepted, |limit| limit.requests.min(state.accepted));
            let certain = state.window_is_ours && requests >= LOW;
            state.limit = Some(Limit { requests, certain, clean_windows: 0 });
        }
        state.be_silent(now, retry_after);
    }

    /// Forgets the requests so far, and ends a silence.
    pub(crate) fn reset(&self) {
        *lock(&self.0) = Requests::default();
    }
}

/// Requests of one kind to one orchestrator.
#[derive(Debug, Default)]
struct Requests {
    /// Requests sent in the open window.
    sent: u32,
    /// Requests answered in it with something other than 429.
    accepted: u32,
    last: Option<Instant>,
    limit: Option<Limit>,
    /// The number of requests that were accepted before the last refusal, if that could show a limit.
    suspected: Option<u32>,
    silent_until: Option<Instant>,
    /// The open window began after a silence of this worker, so that it holds no requests of others.
    window_is_ours: bool,
    rng: Rng,
}

/// A limit that a 429 has taught.
#[derive(Debug, Clone, Copy)]
struct Limit {
    requests: u32,
    /// It was learned in a window that was ours from the beginning, and is not low.
    certain: bool,
    /// Windows since then that ended without a refusal.
    clean_windows: u32,
}

impl Requests {
    /// Whether a refusal now shows the limit: a low one only if the refusal before came after about as many requests.
    fn is_believed(&mut self) -> bool {
        let before = self.suspected.replace(self.accepted);
        self.accepted >= LOW || before.is_some_and(|before| self.accepted.abs_diff(before) <= MARGIN)
    }

    /// Begins a silence that lasts as `Retry-After` says, or else long enough to open the window of the known
    /// orchestrators again.
    fn be_silent(&mut self, now: Instant, retry_after: Option<Duration>) {
        let usual = || USUAL_SILENCE + Duration::from_secs_f64(SILENCE_JITTER * self.rng.f64());
        let until = now + retry_after.unwrap_or_else(usual).max(MIN_SILENCE);
        self.silent_until = self.silent_until.max(Some(until));
        (self.sent, self.accepted) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl RateGate {
        pub(in crate::peer) fn accepted(&self) -> u32 {
            lock(&self.0).accepted
        }

        /// A refusal after this many requests came before: a second one is believed.
        pub(crate) fn suspect(&self, accepted: u32) {
            lock(&self.0).suspected = Some(accepted);
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// An orchestrator's window: full after `limit` requests, extended by every request.
    struct Window {
        limit: u32,
        count: u32,
        last: Option<Instant>,
    }

    impl Window {
        fn accepts(&mut self, now: Instant) -> bool {
            if self.last.is_none_or(|last| now.duration_since(last) >= 60 * SECOND) {
                self.count = 0;
            }
            self.count += 1;
            self.last = Some(now);
            self.count <= self.limit
        }
    }

    #[test]
    fn after_the_first_refusal_the_limit_is_never_met_again() {
        let (gate, mut window) = (RateGate::default(), Window { limit: 60, count: 0, last: None });
        let mut now = Instant::now();
        let (mut refused, mut accepted) = (0, 0);
        for _ in 0..1000 {
            if let Some(until) = gate.closed_until(now) {
                now = until;
            }
            gate.on_sent(now, true);
            if window.accepts(now) {
                gate.on_accepted();
                accepted += 1;
            } else {
                refused += 1;
                gate.on_refused(now, None);
            }
            now += SECOND;
        }
        assert_eq!(refused, 2, "the first teaches the limit, and once it is made certain");
        assert!(accepted > 900);
    }

    /// Sends `count` requests a second apart to an orchestrator with this limit. Returns how many were refused, and the
    /// time of the silences.
    fn send(gate: &RateGate, window: &mut Window, now: &mut Instant, count: u32) -> (u32, Duration) {
        let (mut refused, mut silence) = (0, Duration::ZERO);
        for _ in 0..count {
            if let Some(until) = gate.closed_until(*now) {
                silence += until.duration_since(*now);
                *now = until;
            }
            gate.on_sent(*now, true);
            if window.accepts(*now) {
                gate.on_accepted();
            } else {
                refused += 1;
                // A second one was under way.
                gate.on_refused(*now, None);
                gate.on_refused(*now, None);
            }
            *now += SECOND;
        }
        (refused, silence)
    }

    #[test]
    fn an_early_stray_refusal_teaches_no_low_limit() {
        for early in [3, 5, 20] {
            let (gate, mut now) = (RateGate::default(), Instant::now());
            let mut never = Window { limit: u32::MAX, count: 0, last: None };
            send(&gate, &mut never, &mut now, early);
            gate.on_sent(now, true);
            gate.on_refused(now, None);
            let (refused, silence) = send(&gate, &mut never, &mut now, 300);
            assert_eq!(refused, 0);
            assert!(silence < 70 * SECOND, "after {early}: its own silence only, not {silence:?}");
        }
    }

    #[test]
    fn a_low_limit_is_learned_when_it_is_met_again_and_tested_from_time_to_time() {
        let (gate, mut now) = (RateGate::default(), Instant::now());
        let mut window = Window { limit: 10, count: 0, last: None };
        let (refused, _) = send(&gate, &mut window, &mut now, 80);
        assert_eq!(refused, 2, "the first is not believed, the second is");
        let (refused, _) = send(&gate, &mut window, &mut now, 1000);
        assert!((1..=25).contains(&refused), "{refused} of 1000: about one in ten windows");
        // It was raised.
        let mut raised = Window { limit: u32::MAX, count: 0, last: None };
        send(&gate, &mut raised, &mut now, 150);
        let (_, silence) = send(&gate, &mut raised, &mut now, 300);
        assert_eq!(silence, Duration::ZERO);
    }

    #[test]
    fn retry_after_is_obeyed() {
        let (gate, now) = (RateGate::default(), Instant::now());
        gate.on_sent(now, true);
        gate.on_refused(now, Some(7 * SECOND));
        assert_eq!(gate.closed_until(now), Some(now + 7 * SECOND));
        assert_eq!(gate.closed_until(now + 7 * SECOND), None);
    }

    #[test]
    fn a_refusal_that_teaches_no_limit_is_forgotten_after_its_silence() {
        for retry_after in [None, Some(Duration::ZERO), Some(2 * SECOND)] {
            let (gate, mut now) = (RateGate::default(), Instant::now());
            gate.on_sent(now, true);
            gate.on_refused(now, retry_after);
            let until = gate.closed_until(now).expect("silent");
            assert!(until >= now + SECOND);
            now = until;
            for _ in 0..20 {
                gate.on_sent(now, true);
                assert_eq!(gate.closed_until(now), None, "after {retry_after:?}");
            }
        }
    }

    #[test]
    fn without_retry_after_there_is_silence_for_more_than_a_minute() {
        let (gate, now) = (RateGate::default(), Instant::now());
        gate.on_sent(now, true);
        gate.on_refused(now, None);
        let until = gate.closed_until(now).expect("silent");
        assert!((61.0..=66.0).contains(&until.duration_since(now).as_secs_f64()));
    }

    #[test]
    fn silence_that_would_hide_a_busy_worker_waits_for_an_idle_one() {
        let (gate, now) = (
            RateGate(Arc::new(Mutex::new(Requests {
                limit: Some(Limit { requests: 5, certain: true, clean_windows: 0 }),
                ..Requests::default()
            }))),
            Instant::now(),
        );
        for _ in 0..4 {
            gate.on_sent(now, false);
        }
        assert_eq!(gate.closed_until(now), None);
        gate.on_sent(now, true);
        assert!(gate.closed_until(now).is_some());
    }
}
