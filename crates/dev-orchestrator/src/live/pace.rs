//! A limit to how often something is told.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The time between two values of one key: a little more than a tenth of a second, so that there are never more than ten
/// in a second.
pub(super) const PACE: Duration = Duration::from_millis(105);

/// The newest value of each key that was not told yet, and the time at which it may be.
#[derive(Debug)]
pub(super) struct Paced<K, V> {
    turns: HashMap<K, Turn<V>>,
}

#[derive(Debug)]
struct Turn<V> {
    value: Option<V>,
    next: Instant,
}

impl<K, V> Default for Paced<K, V> {
    fn default() -> Self {
        Self { turns: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Paced<K, V> {
    /// Sets the newest value of a key.
    pub(super) fn put(&mut self, key: &K, value: V, now: Instant) {
        match self.turns.get_mut(key) {
            Some(turn) => turn.value = Some(value),
            None => {
                self.turns.insert(key.clone(), Turn { value: Some(value), next: now });
            }
        }
    }

    /// Drops the value of a key.
    pub(super) fn drop_value(&mut self, key: &K) {
        if let Some(turn) = self.turns.get_mut(key) {
            turn.value = None;
        }
    }

    /// Takes the values that may be told now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(K, V)> {
        let mut due = Vec::new();
        self.turns.retain(|key, turn| {
            if turn.next > now {
                return true;
            }
            turn.next = now + PACE;
            turn.value.take().is_some_and(|value| {
                due.push((key.clone(), value));
                true
            })
        });
        due
    }

    /// Returns the time at which the next value may be told.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.turns.values().filter(|turn| turn.value.is_some()).map(|turn| turn.next).min()
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_told_at_once_and_the_newest_of_the_others_in_its_turn() {
        let (mut paced, start) = (Paced::default(), Instant::now());
        paced.put(&"a", 1, start);
        assert_eq!(paced.take_due(start), [("a", 1)]);
        for value in 2..100 {
            paced.put(&"a", value, start);
        }
        paced.put(&"b", 0, start);
        assert_eq!(paced.take_due(start), [("b", 0)]);
        assert_eq!(paced.next_due(), Some(start + PACE));
        assert_eq!(paced.take_due(start + PACE), [("a", 99)]);
        assert_eq!(paced.next_due(), None);
    }

    #[test]
    fn there_are_at_most_ten_in_any_second() {
        let (mut paced, start) = (Paced::default(), Instant::now());
        let mut told = Vec::new();
        for millisecond in 0..5000 {
            let now = start + Duration::from_millis(millisecond);
            paced.put(&"a", millisecond, now);
            told.extend(paced.take_due(now).into_iter().map(|(_, value)| value));
        }
        for first in &told {
            let within = told.iter().filter(|value| (*first..=first + 1000).contains(value)).count();
            assert!(within <= 10, "{within} within a second from {first}");
        }
        assert!(told.len() > 40, "{}", told.len());
    }

    #[test]
    fn dropped_values_are_not_told_and_old_keys_are_forgotten() {
        let (mut paced, start) = (Paced::default(), Instant::now());
        paced.put(&"a", 1, start);
        paced.drop_value(&"a");
        paced.drop_value(&"b");
        assert_eq!(paced.take_due(start), []);
        assert_eq!(paced.len(), 0);
        paced.put(&"a", 1, start);
        paced.take_due(start);
        paced.take_due(start + PACE);
        assert_eq!(paced.len(), 0);
    }
}
