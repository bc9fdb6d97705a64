//! The keys that the storage is asked with: held, so that no text tells them.

use std::collections::VecDeque;
use std::sync::Mutex;

use rxon::secrets::Secrets;

use crate::config::Secret;
use crate::threads::lock;

/// Keys that are fetched change; so many of the last are held.
const MOST_FETCHED: usize = 12;

/// Those that were given, and those that were fetched.
#[derive(Debug)]
pub(super) struct HeldKeys {
    _given: Secrets,
    fetched: Mutex<VecDeque<String>>,
    held: Secrets,
}

impl HeldKeys {
    pub(super) fn new(given: &[Secret]) -> Self {
        let given = given.iter().map(|key| key.expose().to_owned());
        Self { _given: Secrets::new(given), fetched: Mutex::default(), held: Secrets::new([]) }
    }

    /// Takes note of a key that was fetched.
    pub(super) fn add(&self, key: &str) {
        let mut fetched = lock(&self.fetched);
        if fetched.iter().any(|known| known == key) {
            return;
        }
        if fetched.len() >= MOST_FETCHED {
            fetched.pop_front();
        }
        fetched.push_back(key.to_owned());
        self.held.replace(fetched.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use rxon::secrets::masked;

    use super::*;

    #[test]
    fn no_number_of_fetched_keys_fills_the_memory() {
        let keys = HeldKeys::new(&["given-to-it".into()]);
        for number in 0..1000 {
            keys.add(&format!("fetched-{number:04}"));
        }
        assert!(lock(&keys.fetched).len() <= MOST_FETCHED);
        assert_eq!(masked("fetched-0999 fetched-0001 given-to-it"), "*** fetched-0001 ***");
        drop(keys);
        assert_eq!(masked("fetched-0999 given-to-it"), "fetched-0999 given-to-it");
    }
}
