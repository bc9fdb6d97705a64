//! The limits of requests: so many of one kind from one worker, until it was silent for a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rxon::WorkerId;

use super::Imitation;
use crate::clock::Now;
use crate::refusal::Refusal;

/// The time without a request after which requests are counted anew.
const QUIET: Duration = Duration::from_secs(60);

/// The number of counts beyond which those of silent workers are removed, and no further worker is admitted.
const MAX_WINDOWS: usize = 50_000;

/// The time between two searches for silent workers.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// A kind of requests, with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Poll,
    Heartbeat,
    Registration,
    Result,
    Event,
}

/// The requests of all workers, counted as an imitated orchestrator counts them; without one, nothing is limited.
#[derive(Debug)]
pub(crate) struct Limits {
    imitation: Option<Imitation>,
    windows: Mutex<Windows>,
}

/// The time of the last request of each kind and worker, and the number of those without a pause before it.
#[derive(Debug, Default)]
struct Windows {
    counts: HashMap<(Kind, WorkerId), (Instant, u32)>,
    /// The time of the last search for silent workers.
    swept: Option<Instant>,
}

impl Limits {
    pub(crate) fn new(imitation: Option<Imitation>) -> Self {
        Self { imitation, windows: Mutex::default() }
    }

    /// Counts a request, and refuses it if there were too many. The refused ones count, too.
    pub(crate) fn admit(&self, kind: Kind, worker: &WorkerId) -> Result<(), Refusal> {
        let Some(imitation) = self.imitation else { return Ok(()) };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.count(kind, worker, Now::read().instant) <= limit(imitation, kind) {
            return Ok(());
        }
        let text = match imitation {
            Imitation::Older => "Too Many Requests",
            // The newer one wraps its error twice.
            Imitation::Newer => r#"{"error": "Too Many Requests"}"#,
        };
        Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text))
    }
}

fn limit(imitation: Imitation, kind: Kind) -> u32 {
    match (imitation, kind) {
        (_, Kind::Poll) => 60,
        (Imitation::Newer, Kind::Heartbeat) => 120,
        _ => 100,
    }
}

impl Windows {
    /// Counts a request; returns the number of those without a pause before it, with itself. One that there is no room
    /// to count for is beyond every limit.
    fn count(&mut self, kind: Kind, worker: &WorkerId, now: Instant) -> u32 {
        let key = (kind, worker.clone());
        if self.counts.len() >= MAX_WINDOWS && !self.counts.contains_key(&key) {
            if self.swept.is_none_or(|swept| swept + SWEEP_PAUSE <= now) {
                self.swept = Some(now);
                self.counts.retain(|_, (last, _)| *last + QUIET > now);
            }
            if self.counts.len() >= MAX_WINDOWS {
                return u32::MAX;
            }
        }
        let (last, count) = self.counts.entry(key).or_insert((now, 0));
        if *last + QUIET <= now {
            *count = 0;
        }
        *last = now;
        *count = count.saturating_add(1);
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: &str) -> WorkerId {
        WorkerId::new(id).expect("an identifier")
    }

    #[test]
    fn only_a_quiet_minute_opens_the_window_again() {
        let (mut windows, start) = (Windows::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for number in 1..=70 {
            assert_eq!(windows.count(Kind::Poll, &worker("w"), at(number)), u32::try_from(number).unwrap());
        }
        assert_eq!(windows.count(Kind::Poll, &worker("w"), at(129)), 71, "59 s later");
        assert_eq!(windows.count(Kind::Heartbeat, &worker("w"), at(129)), 1, "another kind");
        assert_eq!(windows.count(Kind::Poll, &worker("v"), at(129)), 1, "another worker");
        assert_eq!(windows.count(Kind::Poll, &worker("w"), at(189)), 1, "60 s later");
    }

    #[test]
    fn each_kind_has_the_limit_of_the_imitated_orchestrator() {
        for (imitation, heartbeats) in [(Imitation::Older, 100), (Imitation::Newer, 120)] {
            let limits = Limits::new(Some(imitation));
            let admitted = |kind| (0..200).filter(|_| limits.admit(kind, &worker("w")).is_ok()).count();
            assert_eq!(admitted(Kind::Poll), 60);
            assert_eq!(admitted(Kind::Heartbeat), heartbeats);
            assert_eq!(admitted(Kind::Result), 100);
            let refusal = limits.admit(Kind::Poll, &worker("w")).expect_err("too many");
            assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
        }
        let limits = Limits::new(None);
        assert!((0..200).all(|_| limits.admit(Kind::Poll, &worker("w")).is_ok()), "no limit");
    }

    #[test]
    fn silent_workers_are_forgotten_and_others_need_room() {
        let (mut windows, start) = (Windows::default(), Instant::now());
        for number in 0..MAX_WINDOWS {
            windows.count(Kind::Poll, &worker(&format!("w-{number}")), start);
        }
        assert_eq!(windows.count(Kind::Poll, &worker("w"), start), u32::MAX, "there is no room");
        assert_eq!(windows.count(Kind::Poll, &worker("w-7"), start), 2);
        assert_eq!(windows.counts.len(), MAX_WINDOWS);
        assert_eq!(windows.count(Kind::Poll, &worker("w"), start + QUIET), 1);
        assert_eq!(windows.counts.len(), 1);
    }
}
