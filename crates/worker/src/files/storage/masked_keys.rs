//! The keys of the storage, masked in all texts.

use std::collections::VecDeque;
use std::sync::Mutex;

use rxon::secrets::Secrets;

use crate::config::Secret;
use crate::threads::lock;

/// The most fetched keys that are masked. They change, and the last ones count.
const MAX_FETCHED: usize = 12;

/// The configured keys and the last fetched keys, masked in all texts until this is dropped.
#[derive(Debug)]
pub(super) struct MaskedKeys {
    _configured: Secrets,
    fetched: Mutex<VecDeque<String>>,
    masked: Secrets,
}

impl MaskedKeys {
    pub(super) fn new(configured: &[Secret]) -> Self {
        let configured = configured.iter().map(|key| key.expose().to_owned());
        Self { _configured: Secrets::new(configured), fetched: Mutex::default(), masked: Secrets::new([]) }
    }

    /// Adds a fetched key.
    pub(super) fn add(&self, key: &str) {
        let mut fetched = lock(&self.fetched);
        if fetched.iter().any(|known| known == key) {
            return;
        }
        if fetched.len() >= MAX_FETCHED {
            fetched.pop_front();
        }
        fetched.push_back(key.to_owned());
        self.masked.replace(fetched.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use rxon::secrets::masked;

    use super::*;

    #[test]
    fn the_number_of_masked_fetched_keys_is_limited() {
        let keys = MaskedKeys::new(&["given-to-it".into()]);
        for number in 0..1000 {
            keys.add(&format!("fetched-{number:04}"));
        }
        assert!(lock(&keys.fetched).len() <= MAX_FETCHED);
        assert_eq!(masked("fetched-0999 fetched-0001 given-to-it"), "*** fetched-0001 ***");
        drop(keys);
        assert_eq!(masked("fetched-0999 given-to-it"), "fetched-0999 given-to-it");
    }
}
