//! Masking of tokens and keys in what is shown.

use std::borrow::Cow;

/// The text in place of a secret.
const MASK: &str = "***";

/// A known secret that is shorter is masked only where its name says that it is one: it may be a part of any word.
const MIN_LENGTH: usize = 6;

/// The shortest beginning of a known secret that is masked at the end of a text that was cut.
const MIN_BEGINNING: usize = 4;

/// Words at the end of a name, or of a part of it, that make it the name of a secret.
const SECRET_WORDS: [&str; 13] = [
    "token",
    "tokens",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
];

/// Words before `key` that make it the name of a secret.
const KEY_WORDS: [&str; 6] = ["access", "api", "private", "secret", "storage", "s3"];

/// The known secrets, the longest first.
#[derive(Debug)]
pub(super) struct Masks(Vec<String>);

impl Masks {
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= MIN_LENGTH).collect();
        // In JSON a secret may be written with escapes.
        let escaped = all.iter().filter_map(|secret| serde_json::to_string(secret).ok());
        let escaped: Vec<String> = escaped.map(|text| text[1..text.len() - 1].to_owned()).collect();
        all.extend(escaped);
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(all)
    }

    /// Masks the value of a header.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        if is_secret(name) { MASK.to_owned() } else { self.known(value, false) }
    }

    /// Masks the query of a path.
    pub(super) fn path(&self, path: &str) -> String {
        let Some((path, query)) = path.split_once('?') else { return self.known(path, false) };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
            _ => self.known(pair, false),
        });
        format!("{}?{}", self.known(path, false), pairs.collect::<Vec<_>>().join("&"))
    }

    /// Masks a body. `is_cut` says that it goes on.
    pub(super) fn body(&self, body: &[u8], is_cut: bool) -> String {
        self.known(&self.members(&String::from_utf8_lossy(body)), is_cut)
    }

    /// Masks the texts in secret members of JSON, and those that spell a known secret with escapes. Every other byte stays
    /// as it is. This follows only quotes and brackets, since a body may have been cut, and may be no JSON at all.
    fn members(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut masked = String::with_capacity(text.len());
        // The number of open brackets, and that at which a secret value began.
        let (mut depth, mut secret_at) = (0_usize, None);
        let (mut is_secret_next, mut copied, mut at) = (false, 0, 0);
        while at < bytes.len() {
            match bytes[at] {
                b'"' => {
                    let (end, is_closed) = end_of_text(bytes, at);
                    let content = text.get(at + 1..if is_closed { end - 1 } else { end }).unwrap_or_default();
                    let is_name = is_colon_next(bytes, end);
                    if is_name {
                        is_secret_next = is_secret(&unescaped(content));
                    } else if is_secret_next || secret_at.is_some() || self.is_spelt_in(content) {
                        masked.push_str(&text[copied..=at]);
                        masked.push_str(MASK);
                        // The closing quote, if the text was not cut, is copied with what follows.
                        copied = if is_closed { end - 1 } else { end };
                        is_secret_next = false;
                    }
                    at = end;
                    continue;
                }
                b'{' | b'[' => {
                    if is_secret_next && secret_at.is_none() {
                        secret_at = Some(depth);
                    }
                    is_secret_next = false;
                    depth += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    secret_at = secret_at.filter(|start| *start < depth);
                }
                b',' => is_secret_next = false,
                _ => {}
            }
            at += 1;
        }
        masked.push_str(&text[copied..]);
        masked
    }

    /// Whether a text of JSON has a known secret that only its escapes hide.
    fn is_spelt_in(&self, content: &str) -> bool {
        content.contains('\\') && {
            let plain = unescaped(content);
            self.0.iter().any(|secret| plain.contains(secret.as_str()))
        }
    }

    /// Masks the known secrets.
    fn known(&self, text: &str, is_cut: bool) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), MASK);
            }
        }
        if is_cut && let Some(start) = self.0.iter().filter_map(|secret| beginning(&masked, secret)).min() {
            masked.truncate(start);
            masked.push_str(MASK);
        }
        masked
    }
}

/// Returns where the text ends with the beginning of a secret.
fn beginning(text: &str, secret: &str) -> Option<usize> {
    let lengths = (MIN_BEGINNING..secret.len()).rev().filter(|length| secret.is_char_boundary(*length));
    let found = lengths.map(|length| &secret[..length]).find(|start| text.ends_with(start))?;
    Some(text.len() - found.len())
}

/// Whether a member, a header or a parameter with this name is a secret.
fn is_secret(name: &str) -> bool {
    let words = words(name);
    let is_secret_word = |word: &String| {
        let word = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        SECRET_WORDS.iter().any(|secret| word.ends_with(secret))
    };
    let ends = words.iter().any(is_secret_word);
    ends || words
        .windows(2)
        .any(|pair| matches!(pair[1].as_str(), "key" | "keys") && KEY_WORDS.contains(&pair[0].as_str()))
}

/// Splits a name into its words in lower case: `X-Worker-Token`, `worker_token` and `workerToken` have two or three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins = letter.is_uppercase() && before.is_lowercase();
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns a text of JSON without its escapes; as it is if they are wrong.
fn unescaped(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    serde_json::from_str(&format!("\"{content}\"")).map_or(Cow::Borrowed(content), Cow::Owned)
}

/// Returns the position after the text that begins at `start`, and whether the text has a closing quote.
fn end_of_text(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return (at + 1, true),
            _ => at += 1,
        }
    }
    (bytes.len(), false)
}

fn is_colon_next(bytes: &[u8], from: usize) -> bool {
    bytes[from..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(secrets: &[&str]) -> Masks {
        Masks::new(secrets.iter().map(|secret| (*secret).to_owned()))
    }

    #[test]
    fn names_say_what_is_secret() {
        for name in [
            "X-Worker-Token",
            "x-client-token",
            "Authorization",
            "token",
            "access_token",
            "accessToken",
            "TOKEN",
            "refreshtoken",
            "client_secret",
            "password",
            "api_key",
            "apiKey",
            "S3_SECRET_KEY",
            "s3-access-key",
            "proxy-authorization",
            "set-cookie",
            "credentials",
            "idToken2",
            "secretKey",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "key",
            "tokenizer",
            "sec-websocket-key",
            "signature",
            "x-worker-id",
            "secretary",
            "",
            "host",
            "idempotency_key",
            "monkey",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn secret_members_are_masked_and_nothing_else_changes() {
        for (text, expected) in [
            (r#"{"token": "a\"b", "b":[1, "c"]}"#, r#"{"token": "***", "b":[1, "c"]}"#),
            (r#"{"a":{"worker_token" : "x"},"c":"x"}"#, r#"{"a":{"worker_token" : "***"},"c":"x"}"#),
            (
                r#"{"credentials":{"id":"x","n":5,"l":["y"]},"z":"x"}"#,
                r#"{"credentials":{"id":"***","n":5,"l":["***"]},"z":"x"}"#,
            ),
            (r#"{"max_tokens":256,"a":"x"}"#, r#"{"max_tokens":256,"a":"x"}"#),
            (r#"{"token":null,"a":"x"}"#, r#"{"token":null,"a":"x"}"#),
            (r#"["token", "x"]"#, r#"["token", "x"]"#),
            (r#"{"tok\u0065n":"x","pass\u0077ord":"y"}"#, r#"{"tok\u0065n":"***","pass\u0077ord":"***"}"#),
            (r#"{"tok\u00zen":"x"}"#, r#"{"tok\u00zen":"x"}"#),
            (r#"{"token":"abc"#, r#"{"token":"***"#),
            (r#"{"token":"abc\""#, r#"{"token":"***"#),
            (r#"{"token":""#, r#"{"token":"***"#),
            ("<html>\"", "<html>\""),
            ("}}]{\"é\":\"ü\"}", "}}]{\"é\":\"ü\"}"),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(masks(&[]).members(text), expected, "{text}");
        }
    }

    #[test]
    fn known_secrets_are_masked_everywhere() {
        let masks = masks(&["hunter2hunter", "a\"quoted", "short"]);
        assert_eq!(masks.header("x-note", "is hunter2hunter!"), "is ***!");
        assert_eq!(masks.header("x-worker-token", "short"), "***");
        assert_eq!(masks.path("/_worker/a?b=hunter2hunter&token=x&c"), "/_worker/a?b=***&token=***&c");
        assert_eq!(masks.body(br#"{"a":"a\"quoted"}"#, false), r#"{"a":"***"}"#);
        assert_eq!(masks.body(br#"["a \u0068unter2hunter", "\u0061"]"#, false), r#"["***", "\u0061"]"#);
        assert_eq!(masks.body(b"short", false), "short");
        assert_eq!(masks.body(b"it is hunter2", true), "it is ***");
        assert_eq!(masks.body(b"it is hunter2", false), "it is hunter2");
        assert_eq!(masks.body(b"\xff", false), "\u{fffd}");
    }
}
