//! The secrets of this process, and how texts are cleared of them.
//!
//! The owner of secrets registers them as [`Secrets`]. A server may quote any of them to any part of the process, so
//! [`masked`], and everything in this crate that makes a text of received bytes, looks for all of them at once.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The length in bytes from which a secret is masked: a shorter one could be a part of any word.
pub const MIN_LENGTH: usize = 6;

/// Everything but the characters that need no percent-encoding in any part of an address.
const BUT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text in place of a secret.
const MASK: &str = "***";

/// The registered secrets, by the number of their [`Secrets`].
static KNOWN: Mutex<BTreeMap<u64, Vec<String>>> = Mutex::new(BTreeMap::new());

/// `None` while no secrets are registered. Never locked for longer than it takes to read or replace it: a process that
/// forks meanwhile would leave it locked in its child.
static SEARCH: RwLock<Option<Arc<Search>>> = RwLock::new(None);

struct Search {
    automaton: AhoCorasick,
    longest: usize,
}

/// Changes the registered secrets, and rebuilds the search for them if `change` returns true.
fn update(change: impl FnOnce(&mut BTreeMap<u64, Vec<String>>) -> bool) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !change(&mut known) {
        return;
    }
    let forms: Vec<Vec<u8>> = known.values().flatten().flat_map(|secret| forms(secret)).collect();
    let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
    // The smallest kind of automaton rather than the fastest, as tokens may be long. Of two secrets that begin alike,
    // the longer one is found.
    let mut builder = AhoCorasick::builder();
    builder.kind(Some(AhoCorasickKind::ContiguousNFA)).match_kind(MatchKind::LeftmostLongest);
    // Building fails only for more than 2 GiB of secrets.
    let automaton = if forms.is_empty() { None } else { builder.build(forms).ok() };
    let search = automaton.map(|automaton| Arc::new(Search { automaton, longest }));
    let before = std::mem::replace(&mut *SEARCH.write().unwrap_or_else(PoisonError::into_inner), search);
    drop(before);
}

/// The forms in which a secret may appear: as it is, in a quoted text, in a text quoted twice, and in the parts of an
/// address.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let quoted = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
    };
    let once = quoted(secret);
    let twice = quoted(&once);
    let encoded = utf8_percent_encode(secret, BUT_UNRESERVED).to_string();
    let in_form = encoded.replace("%20", "+");
    let in_path = encoded.replace("%2F", "/");
    let lower = [&encoded, &in_form, &in_path].map(|text| with_lower_case_escapes(text));
    // Some JSON libraries escape the slash.
    let escaped = once.replace('/', "\\/");
    let mut forms = vec![secret.to_owned(), once, twice, escaped, encoded, in_form, in_path];
    forms.extend(lower);
    // Most secrets need no quoting, so that their forms are equal.
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().filter(|form| form.len() >= MIN_LENGTH).map(String::into_bytes).collect()
}

/// A percent-encoded text with lower-case hex digits, as some libraries write them.
fn with_lower_case_escapes(encoded: &str) -> String {
    let mut lowered = String::with_capacity(encoded.len());
    let mut parts = encoded.split('%');
    lowered.extend(parts.next());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lowered.extend(["%", &digits.to_ascii_lowercase(), rest]);
    }
    lowered
}

/// Registered secrets, masked as long as this value lives.
pub struct Secrets(u64);

impl Secrets {
    /// Registers secrets. Those shorter than [`MIN_LENGTH`] bytes are not masked.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let held = Self(NEXT.fetch_add(1, Ordering::Relaxed));
        held.replace(secrets);
        held
    }

    /// Registers these secrets instead of the previous ones.
    pub fn replace(&self, secrets: impl IntoIterator<Item = String>) {
        let secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= MIN_LENGTH).collect();
        update(|known| {
            let held = known.entry(self.0).or_default();
            let changed = *held != secrets;
            *held = secrets;
            changed
        });
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        update(|known| known.remove(&self.0).is_some_and(|secrets| !secrets.is_empty()));
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets")
    }
}

/// Replaces every registered [secret](Secrets) in a text by `***`.
///
/// ```
/// use rxon::secrets::{Secrets, masked};
///
/// let held = Secrets::new(["tok-5f1c".to_owned()]);
/// assert_eq!(masked("`tok-5f1c` is not a token"), "`***` is not a token");
/// drop(held);
/// assert_eq!(masked("`tok-5f1c` is not a token"), "`tok-5f1c` is not a token");
/// ```
pub fn masked(text: &str) -> Cow<'_, str> {
    // Secrets are UTF-8, so each begins and ends at a character boundary.
    match masked_head(text.as_bytes(), text.len()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
    }
}

/// A text that is shown [`masked`]. Nothing is searched until it is shown.
#[derive(Clone, Copy)]
pub struct Masked<'a>(pub(crate) &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if IS_MASKED_LATER.try_with(Cell::get).unwrap_or(false) {
            formatter.write_str(self.0)
        } else {
            formatter.pad(&masked(self.0))
        }
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*masked(self.0), formatter)
    }
}

thread_local! {
    static IS_MASKED_LATER: Cell<bool> = const { Cell::new(false) };
}

/// Calls a function that shows texts as they are where they would be [`Masked`]: the caller masks the whole that it makes
/// of them.
///
/// What the function shows must reach nobody in any other way, and must not be cut before it is masked: half a secret is not
/// found. So a width or a precision has no effect on such texts here.
pub fn masked_later<T>(call: impl FnOnce() -> T) -> T {
    /// Ends it even if the function panics.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            let _ = IS_MASKED_LATER.try_with(|later| later.set(self.0));
        }
    }

    let _before = Before(IS_MASKED_LATER.try_with(|later| later.replace(true)).unwrap_or(false));
    call()
}

/// Returns the first `length` bytes of a text with its secrets masked, including a secret that the cut divides.
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
    fn secrets_are_masked_everywhere_while_they_are_registered() {
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
        assert_eq!(masked("hidden-1 hidden-2"), "*** ***", "another owner still holds it");
        another.replace(["hidden-3".to_owned()]);
        assert_eq!(masked("hidden-1 hidden-2 hidden-3"), "hidden-1 hidden-2 ***");
        drop(another);
        assert_eq!(masked("hidden-3"), "hidden-3");
    }

    #[test]
    fn short_secrets_are_not_masked() {
        let _held = Secrets::new(["", "a", "short"].map(str::to_owned));
        assert_eq!(masked("a short text"), "a short text");
    }

    #[test]
    fn secrets_are_found_in_quoted_texts() {
        let _held = Secrets::new(["quo\"ted\\1".to_owned()]);
        let plain = r#"quo"ted\1"#;
        let quoted = format!("{plain:?}");
        for text in [plain.to_owned(), format!("{quoted:?}"), quoted] {
            assert!(!masked(&text).contains("ted"), "{text}");
        }
    }

    #[test]
    fn secrets_are_found_in_addresses() {
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
    fn no_part_of_a_secret_is_left_where_a_text_is_cut() {
        let _held = Secrets::new(["at-the-edge-1".to_owned()]);
        let text = b"at-the-edge-1 and at-the-edge-1, at-the-edge-1";
        for length in 0..text.len() {
            let head = String::from_utf8_lossy(&masked_head(text, length)).into_owned();
            assert!(!head.contains("at-") && !head.contains("edge"), "{length}: {head}");
        }
        assert_eq!(&*masked_head(b"other", 3), b"oth");
    }

    #[test]
    fn a_shown_text_is_masked_unless_the_whole_is_masked_later() {
        let _held = Secrets::new(["shown-secret-1".to_owned()]);
        let shown = Masked("a shown-secret-1 b");
        assert_eq!(
            (shown.to_string(), format!("{shown:?}")),
            ("a *** b".to_owned(), "\"a *** b\"".to_owned())
        );
        let whole = masked_later(|| format!("{shown}, {shown}"));
        assert_eq!(masked(&whole), "a *** b, a *** b");
        assert_eq!(format!("{shown:>9}|{shown:.3}|"), "  a *** b|a *|");
        assert_eq!(masked(&masked_later(|| format!("{shown:.10}"))), "a *** b", "a secret is not cut");
        let panics = || masked_later(|| -> () { panic!("in the middle") });
        std::panic::catch_unwind(panics).expect_err("it panics");
        assert_eq!(shown.to_string(), "a *** b");
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secrets::new(["printed-1".to_owned()])), "Secrets");
    }
}
