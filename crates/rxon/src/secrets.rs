//! The secrets of this process, and texts without them.
//!
//! Whoever has secrets holds them as [`Secrets`]. What a server says may quote any of them, whoever it is said to: so
//! they are looked for all at once, by [`masked`] and by everything in this crate that makes a text of what came.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Secrets that are shorter are not looked for: they could be a part of any word.
pub const SHORTEST: usize = 6;

/// What stands for itself everywhere in an address.
const BUT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands in a secret's place.
const MASK: &str = "***";

static KNOWN: Mutex<Known> = Mutex::new(Known { next: 0, held: BTreeMap::new() });

/// None while there are none. Never locked for longer than it takes to look: a process that forks meanwhile would leave
/// it locked in its child.
static SEARCH: RwLock<Option<Arc<Search>>> = RwLock::new(None);

struct Known {
    next: u64,
    held: BTreeMap<u64, Vec<String>>,
}

struct Search {
    automaton: AhoCorasick,
    longest: usize,
}

impl Known {
    fn locked() -> MutexGuard<'static, Self> {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        let forms: Vec<Vec<u8>> = self.held.values().flatten().flat_map(|secret| forms(secret)).collect();
        let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
        // Not as fast as it could be, but as small: tokens may be long. Of two that begin alike the longer counts.
        let mut builder = AhoCorasick::builder();
        builder.kind(Some(AhoCorasickKind::ContiguousNFA)).match_kind(MatchKind::LeftmostLongest);
        // It fails beyond 2 GiB of secrets only.
        let automaton = if forms.is_empty() { None } else { builder.build(forms).ok() };
        let search = automaton.map(|automaton| Arc::new(Search { automaton, longest }));
        let before = std::mem::replace(&mut *SEARCH.write().unwrap_or_else(PoisonError::into_inner), search);
        drop(before);
    }
}

/// A secret as it is, as it stands in a text that was quoted, or quoted twice, and in the parts of an address.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let quoted = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
    };
    let once = quoted(secret);
    let twice = quoted(&once);
    let encoded = utf8_percent_encode(secret, BUT_UNRESERVED).to_string();
    let of_form = encoded.replace("%20", "+");
    let in_path = encoded.replace("%2F", "/");
    let lower = [&encoded, &of_form, &in_path].map(|text| lowered(text));
    // As some others quote it.
    let escaped = once.replace('/', "\\/");
    let mut forms = vec![secret.to_owned(), once, twice, escaped, encoded, of_form, in_path];
    forms.extend(lower);
    // Mostly there is nothing to quote.
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().filter(|form| form.len() >= SHORTEST).map(String::into_bytes).collect()
}

/// With the digits of what is percent-encoded as others write them.
fn lowered(encoded: &str) -> String {
    let mut lowered = String::with_capacity(encoded.len());
    let mut parts = encoded.split('%');
    lowered.extend(parts.next());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lowered.extend(["%", &digits.to_ascii_lowercase(), rest]);
    }
    lowered
}

/// Secrets of somebody. As long as this lives they are masked.
pub struct Secrets(u64);

impl Secrets {
    /// Holds secrets. Those shorter than [`SHORTEST`] bytes are not looked for.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut known = Known::locked();
        let id = known.next;
        known.next += 1;
        known.held.insert(id, Vec::new());
        drop(known);
        let held = Self(id);
        held.replace(secrets);
        held
    }

    /// Holds these from now on, and not those before.
    pub fn replace(&self, secrets: impl IntoIterator<Item = String>) {
        let secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        let mut known = Known::locked();
        if known.held.get(&self.0) != Some(&secrets) {
            known.held.insert(self.0, secrets);
            known.changed();
        }
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let mut known = Known::locked();
        if known.held.remove(&self.0).is_some_and(|secrets| !secrets.is_empty()) {
            known.changed();
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets")
    }
}

/// A text without the secrets that are [held](Secrets): `***` stands in their places.
///
/// ```
/// use rxon::secrets::{Secrets, masked};
///
/// let held = Secrets::new(["tok-5f1c".to_owned()]);
/// assert_eq!(masked("`tok-5f1c` is no token"), "`***` is no token");
/// drop(held);
/// assert_eq!(masked("`tok-5f1c` is no token"), "`tok-5f1c` is no token");
/// ```
pub fn masked(text: &str) -> Cow<'_, str> {
    // Secrets are UTF-8, and begin and end where characters do.
    match masked_head(text.as_bytes(), text.len()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
    }
}

/// The first bytes of a text, without secrets: not even half of one is left where it is cut.
pub(crate) fn masked_head(text: &[u8], length: usize) -> Cow<'_, [u8]> {
    let length = length.min(text.len());
    let search = SEARCH.read().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(search) = search else { return Cow::Borrowed(&text[..length]) };
    let seen = &text[..text.len().min(length.saturating_add(search.longest))];
    let mut masked = Vec::new();
    let mut copied = 0;
    for found in search.automaton.find_iter(seen).take_while(|found| found.start() < length) {
        masked.extend_from_slice(&text[copied..found.start()]);
        masked.extend_from_slice(MASK.as_bytes());
        copied = found.end();
    }
    if copied == 0 {
        return Cow::Borrowed(&text[..length]);
    }
    masked.extend_from_slice(text.get(copied..length).unwrap_or_default());
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_masked_wherever_they_stand_while_they_are_held() {
        let held = Secrets::new(["hidden-1".to_owned(), "hidden-1-longer".to_owned()]);
        for (text, expected) in [
            ("no secret", "no secret"),
            ("hidden-1", "***"),
            ("hidden-1hidden-1, hidden-1!", "******, ***!"),
            ("hidden-1-longer", "***"),
            ("ü hidden-1-long ü", "ü ***-long ü"),
            ("hidden-", "hidden-"),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
        let another = Secrets::new(["hidden-1".to_owned(), "hidden-2".to_owned()]);
        drop(held);
        assert_eq!(masked("hidden-1 hidden-2"), "*** ***", "somebody still holds it");
        another.replace(["hidden-3".to_owned()]);
        assert_eq!(masked("hidden-1 hidden-2 hidden-3"), "hidden-1 hidden-2 ***");
        drop(another);
        assert_eq!(masked("hidden-3"), "hidden-3");
    }

    #[test]
    fn short_ones_make_no_stars_of_a_text() {
        let _held = Secrets::new(["", "a", "short"].map(str::to_owned));
        assert_eq!(masked("a short text"), "a short text");
    }

    #[test]
    fn they_are_found_in_quoted_texts_too() {
        let _held = Secrets::new(["quo\"ted\\1".to_owned()]);
        let plain = r#"quo"ted\1"#;
        let quoted = format!("{plain:?}");
        for text in [plain.to_owned(), format!("{quoted:?}"), quoted] {
            assert!(!masked(&text).contains("ted"), "{text}");
        }
    }

    #[test]
    fn they_are_found_in_addresses_too() {
        let _held = Secrets::new(["adr/b+c d=é%1".to_owned()]);
        for text in [
            "adr/b+c d=é%1",
            "?key=adr%2Fb%2Bc%20d%3D%C3%A9%251&",
            r"adr\/b+c d=é%1",
            "?key=adr%2fb%2bc%20d%3d%c3%a9%251&",
            "?key=adr%2Fb%2Bc+d%3D%C3%A9%251&",
            "/adr/b%2Bc%20d%3D%C3%A9%251/",
        ] {
            assert!(!masked(text).contains("adr"), "{text}");
        }
    }

    #[test]
    fn no_part_of_one_is_left_where_a_text_is_cut() {
        let _held = Secrets::new(["at-the-edge-1".to_owned()]);
        let text = b"at-the-edge-1 and at-the-edge-1, at-the-edge-1";
        for length in 0..text.len() {
            let head = String::from_utf8_lossy(&masked_head(text, length)).into_owned();
            assert!(!head.contains("at-") && !head.contains("edge"), "{length}: {head}");
        }
        assert_eq!(&*masked_head(b"other", 3), b"oth");
    }

    #[test]
    fn they_are_not_printed() {
        assert_eq!(format!("{:?}", Secrets::new(["printed-1".to_owned()])), "Secrets");
    }
}
