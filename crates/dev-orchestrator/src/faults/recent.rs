//! A bounded memory of texts that were seen.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher as _;

/// The number of texts that are remembered; beyond it the oldest are forgotten.
const MAX_TEXTS: usize = 100_000;

/// The hashes of the last texts. The hash key is random, so that a sender cannot construct collisions.
#[derive(Debug, Default)]
pub(super) struct Recent {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Recent {
    /// Remembers a text; returns whether it is new.
    pub(super) fn is_new(&mut self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text);
        if !self.known.insert(hash) {
            return false;
        }
        if self.order.len() == MAX_TEXTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(hash);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_new_once_and_memory_is_bounded() {
        let mut recent = Recent::default();
        assert!(recent.is_new("a") && !recent.is_new("a") && recent.is_new("b"));
        for number in 0..MAX_TEXTS {
            assert!(recent.is_new(&number.to_string()));
        }
        assert_eq!((recent.known.len(), recent.order.len()), (MAX_TEXTS, MAX_TEXTS));
        assert!(recent.is_new("a"), "forgotten");
    }
}
