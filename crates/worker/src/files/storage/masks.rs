//! Keys that stand in no text of an error.

use std::sync::Mutex;

use crate::config::Secret;
use crate::pace::lock;

/// What stands in the place of a key.
const MASK: &str = "***";

/// Anything shorter stands in other words, too: a text without it would be none, and would tell it.
const SHORTEST: usize = 6;

/// Keys that are fetched change; so many of the last are known.
const MOST_FETCHED: usize = 12;

/// The keys that the storage is asked with.
#[derive(Debug, Default)]
pub(super) struct Masks {
    given: Vec<Secret>,
    fetched: Mutex<Vec<Secret>>,
}

impl Masks {
    pub(super) fn new(given: Vec<Secret>) -> Self {
        Self { given, fetched: Mutex::default() }
    }

    /// Takes note of a key that was fetched.
    pub(super) fn add(&self, key: &str) {
        let mut fetched = lock(&self.fetched);
        if fetched.iter().any(|known| known.expose() == key) {
            return;
        }
        if fetched.len() >= MOST_FETCHED {
            fetched.remove(0);
        }
        fetched.push(Secret::new(key));
    }

    /// The text with `***` for every key, also where it is percent-encoded, in whole or in part.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut keys = self.given.clone();
        keys.extend(lock(&self.fetched).iter().cloned());
        keys.retain(|key| key.expose().len() >= SHORTEST);
        // One may begin with another.
        keys.sort_by_key(|key| std::cmp::Reverse(key.expose().len()));
        let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let found = keys.iter().find_map(|key| beginning(rest.as_bytes(), key.expose().as_bytes()));
            if let Some(behind) = found.and_then(|length| rest.get(length..)) {
                shown.push_str(MASK);
                rest = behind;
            } else {
                shown.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        shown
    }
}

/// How much of the beginning of a text is the key, if it begins with it.
fn beginning(text: &[u8], key: &[u8]) -> Option<usize> {
    let mut at = 0;
    for byte in key {
        at += match text.get(at..)? {
            [same, ..] if same == byte => 1,
            [b'%', high, low, ..] if hex(*high)? * 16 + hex(*low)? == *byte => 3,
            [b'+', ..] if *byte == b' ' => 1,
            _ => return None,
        };
    }
    Some(at)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_however_they_are_encoded() {
        let masks = Masks::new(vec!["AKIA123".into(), "AKIA123/b+c d=é".into(), "".into(), "err".into()]);
        masks.add("fetched-key");
        for (text, shown) in [
            ("an error", "an error"),
            ("AKIA123", "***"),
            ("<AKIA123>AKIA1234 AKIA12", "<***>***4 AKIA12"),
            ("AKIA123/b+c d=é", "***"),
            ("x?k=AKIA123%2Fb%2Bc%20d%3D%C3%A9&", "x?k=***&"),
            ("AKIA123/b%2bc+d=%c3%a9", "***"),
            ("%41%4B%49%41%31%32%33", "***"),
            ("AKIA123%2", "***%2"),
            ("of fetched-key é", "of *** é"),
        ] {
            assert_eq!(masks.hide(text), shown, "{text}");
        }
    }

    #[test]
    fn no_number_of_fetched_keys_fills_the_memory() {
        let masks = Masks::default();
        for number in 0..1000 {
            masks.add(&format!("fetched-{number}"));
        }
        assert!(lock(&masks.fetched).len() <= MOST_FETCHED);
        assert_eq!(masks.hide("fetched-999 fetched-1"), "*** fetched-1");
    }
}
