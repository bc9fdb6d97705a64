//! Foreign text, made fit for a message or a line of the log.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::secrets::{masked, masked_head};

/// The length of an [`excerpt`], in characters.
pub const MAX_EXCERPT: usize = 200;

/// The beginning of a text from outside, at most [`MAX_EXCERPT`] characters.
///
/// It is on [one line](one_line) and without secrets, and ends in `…` where the text goes on.
///
/// ```
/// use rxon::text::excerpt;
///
/// assert_eq!(excerpt("no route\n\u{1b}[2J"), r"no route\n\u{1b}[2J");
/// assert_eq!(excerpt("x".repeat(300)), format!("{}…", "x".repeat(200)));
/// ```
pub fn excerpt(text: impl AsRef<[u8]>) -> String {
    excerpt_within(text, MAX_EXCERPT)
}

/// An [`excerpt`] of at most `limit` characters.
pub fn excerpt_within(text: impl AsRef<[u8]>, limit: usize) -> String {
    let text = text.as_ref();
    // A character has at most 4 bytes.
    let head_length = limit.saturating_add(1).saturating_mul(4);
    let head = masked_head(text, head_length);
    let head = String::from_utf8_lossy(&head);
    let line = escaped(&head);
    let mut excerpt: String = line.chars().take(limit).collect();
    if text.len() > head_length || line.chars().nth(limit).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// A whole text on one line, for logs: with [secrets](crate::secrets) masked, and with escapes (`\n`, `\t`, `\u{1b}` …)
/// for characters that end a line, control a terminal or reverse the direction of text.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match masked(text) {
        Cow::Borrowed(text) => escaped(text),
        Cow::Owned(text) => Cow::Owned(escaped(&text).into_owned()),
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if needs_escape(character) {
            // Writing to a `String` never fails.
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    Cow::Owned(line)
}

/// Whether a text has visible characters of ASCII only, which most lines have. Without an early end, this is a few
/// instructions per 16 bytes.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~'))
}

fn needs_escape(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secrets;

    #[test]
    fn only_long_texts_are_cut() {
        assert_eq!(excerpt_within("ключ", 4), "ключ");
        assert_eq!(excerpt_within("ключи", 4), "ключ…");
        assert_eq!(excerpt_within("", 0), "");
        assert_eq!(excerpt_within("\u{1f600}".repeat(3), 2), "\u{1f600}\u{1f600}…");
    }

    #[test]
    fn an_excerpt_is_one_line_of_limited_length_whatever_the_text() {
        for text in ["a\nb\u{1b}[31m", "\u{2028}\u{202e}", "\r\t\0"] {
            let excerpt = excerpt(text.repeat(500));
            assert!(excerpt.chars().count() == MAX_EXCERPT + 1 && excerpt.ends_with('…'), "{excerpt}");
            assert!(!excerpt.contains(needs_escape), "{excerpt}");
        }
        assert_eq!(excerpt([b'a', 0xff, b'\n']), "a\u{fffd}\\n");
        assert_eq!(excerpt("say \"ключ\" \\ …"), "say \"ключ\" \\ …", "other characters stay");
    }

    #[test]
    fn an_excerpt_holds_no_part_of_a_secret() {
        let _held = Secrets::new(["text-token-1".to_owned()]);
        for length in 0..30 {
            let excerpt = excerpt_within(format!("{}text-token-1 and more", "x".repeat(length)), 20);
            assert!(!excerpt.contains("text") && !excerpt.contains("token"), "{excerpt}");
        }
        let long = format!("{}end", "text-token-1".repeat(20));
        assert!(excerpt_within(long, 20).ends_with("***…"), "the ellipsis stands for the rest");
    }
}
