//! Detection of repeated messages.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::time::{Duration, Instant};

/// The time that a message is remembered: longer than its timestamp is accepted.
const REMEMBERED: Duration = Duration::from_secs(65);

/// The number of remembered messages. Beyond it the oldest are dropped early; a replay within a minute is then
/// possible, which harms no test.
const MAX_MESSAGES: usize = 200_000;

/// The hashes of recent messages. The hash key is random, so that a sender cannot construct collisions.
#[derive(Debug)]
pub(super) struct Seen {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), known: HashSet::new(), order: VecDeque::new() }
    }

    /// Remembers a message; returns whether it was not seen recently.
    pub(super) fn is_new(&mut self, message: &impl Hash, now: Instant) -> bool {
        while self.order.front().is_some_and(|(when, _)| *when + REMEMBERED <= now)
            || self.order.len() >= MAX_MESSAGES
        {
            let Some((_, oldest)) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
        let hash = self.hasher.hash_one(message);
        let new = self.known.insert(hash);
        if new {
            self.order.push_back((now, hash));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_within_65_seconds() {
        let (mut seen, start) = (Seen::new(), Instant::now());
        assert!(seen.is_new(&("w", "n"), start));
        assert!(!seen.is_new(&("w", "n"), start + Duration::from_secs(64)));
        assert!(seen.is_new(&("v", "n"), start), "another worker's");
        assert!(seen.is_new(&("w", "n"), start + REMEMBERED));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut seen, now) = (Seen::new(), Instant::now());
        for number in 0..MAX_MESSAGES + 10 {
            assert!(seen.is_new(&number, now));
        }
        assert_eq!((seen.known.len(), seen.order.len()), (MAX_MESSAGES, MAX_MESSAGES));
        assert!(seen.is_new(&0, now), "forgotten early");
    }
}
