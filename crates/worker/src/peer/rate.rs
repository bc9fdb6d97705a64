//! How an orchestrator's limit on the rate of requests is lived with. Pure.
//!
//! The known orchestrators count requests of one kind in a window that every further request extends, refused ones
//! too, and answer 429 without `Retry-After`. Only silence opens it again: 45 s are not enough, 61 s are (measured).

use std::time::Duration;

use fastrand::Rng;
use rxon::backoff::add_quarter;
use tokio::time::Instant;

/// What was refused for its credentials is tried this often, plus up to a quarter.
const UNAUTHORIZED_INTERVAL: Duration = Duration::from_secs(5);

/// This much silence opens a window of requests again: 45 s are not enough, 61 s are (measured).
pub(crate) const USUAL_SILENCE: Duration = Duration::from_secs(61);

/// At most this many seconds are added, so that workers do not come back together.
const SILENCE_JITTER: f64 = 5.0;

/// `Retry-After: 0`, or a date that is past, is no invitation to knock without pause.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// The delay after credentials were refused.
pub(crate) fn after_refused_credentials(rng: &mut Rng) -> Duration {
    add_quarter(UNAUTHORIZED_INTERVAL, rng)
}

/// The silence after a 429: what `Retry-After` says, else as long as reopens the window of the known orchestrators.
pub(crate) fn after_too_many_requests(retry_after: Option<Duration>, rng: &mut Rng) -> Duration {
    retry_after
        .unwrap_or_else(|| USUAL_SILENCE + Duration::from_secs_f64(SILENCE_JITTER * rng.f64()))
        .max(SHORTEST_SILENCE)
}

/// A pause between two requests that is as good as silence.
const WINDOW: Duration = Duration::from_secs(60);

/// So many requests short of a limit that is known, silence begins by itself.
const MARGIN: u32 = 2;

/// After so many windows without a refusal, a limit that was learned in a window of unknown beginning is forgotten.
const TRUST: u32 = 10;

/// Requests of one kind to one orchestrator.
#[derive(Debug, Default)]
pub(crate) struct RateGate {
    /// Sent in the window that is open.
    sent: u32,
    /// Answered in it with something other than 429.
    accepted: u32,
    last: Option<Instant>,
    limit: Option<Limit>,
    silent_until: Option<Instant>,
    /// The window that is open began after silence of ours, so that nobody else's requests are in it.
    window_is_ours: bool,
    refused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    requests: u32,
    /// It was learned in a window that was ours from the beginning.
    certain: bool,
    /// Windows since then that ended without a refusal.
    clean_windows: u32,
}

impl RateGate {
    /// None when a request may be sent now, else when it may.
    pub(crate) fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.silent_until.filter(|until| *until > now)
    }

    /// A request is about to be sent. `convenient` is false when silence should rather not begin after it.
    pub(crate) fn on_sent(&mut self, now: Instant, convenient: bool, rng: &mut Rng) {
        if self.last.is_some_and(|last| now.duration_since(last) >= WINDOW) {
            self.window_is_ours = true;
            (self.sent, self.accepted) = (0, 0);
        }
        self.sent += 1;
        self.last = Some(now);
        if let Some(limit) = &mut self.limit
            && convenient
            && self.sent + MARGIN >= limit.requests
        {
            limit.clean_windows += 1;
            // It may have been lower only for a predecessor with our name: once more, to be certain.
            if !limit.certain && limit.clean_windows >= TRUST {
                self.limit = None;
            }
            self.be_silent(now, after_too_many_requests(None, rng));
        }
    }

    /// A request was answered with something other than 429.
    pub(crate) fn on_accepted(&mut self) {
        self.accepted += 1;
    }

    /// A request was refused with 429. True when it is the first time, which is worth saying.
    pub(crate) fn on_refused(&mut self, now: Instant, retry_after: Option<Duration>, rng: &mut Rng) -> bool {
        let first = !std::mem::replace(&mut self.refused, true);
        // Too few to be a limit of ours: others filled the window (a predecessor with the same id), or it is the
        // second of several refusals that were under way. And who names a time has a window of another kind.
        if retry_after.is_none() && self.accepted > MARGIN {
            let known = self.limit.filter(|limit| limit.certain || !self.window_is_ours);
            let requests = known.map_or(self.accepted, |limit| limit.requests.min(self.accepted));
            self.limit = Some(Limit { requests, certain: self.window_is_ours, clean_windows: 0 });
        }
        self.be_silent(now, after_too_many_requests(retry_after, rng));
        first
    }

    fn be_silent(&mut self, now: Instant, silence: Duration) {
        let until = now + silence;
        self.silent_until = Some(self.silent_until.map_or(until, |known| known.max(until)));
        (self.sent, self.accepted) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut rng = Rng::with_seed(1);
        let (mut gate, mut window) = (RateGate::default(), Window { limit: 60, count: 0, last: None });
        let mut now = Instant::now();
        let (mut refused, mut accepted) = (0, 0);
        for _ in 0..1000 {
            if let Some(until) = gate.closed_until(now) {
                now = until;
            }
            gate.on_sent(now, true, &mut rng);
            if window.accepts(now) {
                gate.on_accepted();
                accepted += 1;
            } else {
                refused += 1;
                gate.on_refused(now, None, &mut rng);
            }
            now += SECOND;
        }
        assert_eq!(refused, 2, "the first teaches the limit, and once it is made certain");
        assert!(accepted > 900);
    }

    #[test]
    fn retry_after_counts_where_it_is_given() {
        let (mut gate, now) = (RateGate::default(), Instant::now());
        gate.on_sent(now, true, &mut Rng::with_seed(1));
        assert!(gate.on_refused(now, Some(7 * SECOND), &mut Rng::with_seed(1)));
        assert_eq!(gate.closed_until(now), Some(now + 7 * SECOND));
        assert_eq!(gate.closed_until(now + 7 * SECOND), None);
    }

    #[test]
    fn a_refusal_that_teaches_no_limit_is_forgotten_after_its_silence() {
        let mut rng = Rng::with_seed(1);
        for retry_after in [None, Some(Duration::ZERO), Some(2 * SECOND)] {
            let (mut gate, mut now) = (RateGate::default(), Instant::now());
            gate.on_sent(now, true, &mut rng);
            assert!(gate.on_refused(now, retry_after, &mut rng));
            let until = gate.closed_until(now).expect("silent");
            assert!(until >= now + SECOND);
            now = until;
            for _ in 0..20 {
                gate.on_sent(now, true, &mut rng);
                assert_eq!(gate.closed_until(now), None, "after {retry_after:?}");
            }
        }
    }

    #[test]
    fn without_it_there_is_silence_for_more_than_a_minute() {
        let (mut gate, now) = (RateGate::default(), Instant::now());
        gate.on_sent(now, true, &mut Rng::with_seed(1));
        gate.on_refused(now, None, &mut Rng::with_seed(1));
        let until = gate.closed_until(now).expect("silent");
        assert!((61.0..=66.0).contains(&until.duration_since(now).as_secs_f64()));
    }

    #[test]
    fn silence_that_would_hide_a_busy_worker_waits_for_an_idle_one() {
        let mut rng = Rng::with_seed(1);
        let (mut gate, now) = (
            RateGate {
                limit: Some(Limit { requests: 5, certain: true, clean_windows: 0 }),
                ..RateGate::default()
            },
            Instant::now(),
        );
        for _ in 0..4 {
            gate.on_sent(now, false, &mut rng);
        }
        assert_eq!(gate.closed_until(now), None);
        gate.on_sent(now, true, &mut rng);
        assert!(gate.closed_until(now).is_some());
    }
}
