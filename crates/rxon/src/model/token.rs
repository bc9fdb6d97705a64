//! Short-lived access tokens.

use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The answer to `POST /_worker/auth/token` (1.0b17). The token is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    /// The token that replaces the long-lived one in `X-Worker-Token`; it never signs.
    pub access_token: String,
    /// The lifetime, 1 s to a year; 3600 s when the answer has none.
    pub expires_in: Duration,
}

impl TokenAnswer {
    const DEFAULT_LIFETIME: f64 = 3600.0;
    const MAX_LIFETIME: f64 = 365.0 * 86_400.0;

    /// Reads the body of an answer. Returns `None` when it has no token, or a token that has expired already.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let access_token = body.get("access_token")?.as_str().filter(|token| !token.is_empty())?.to_owned();
        let seconds = match body.get("expires_in") {
            None | Some(Value::Null) => Self::DEFAULT_LIFETIME,
            Some(seconds) => seconds.as_f64()?,
        };
        let expires_in =
            (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(Self::MAX_LIFETIME)))?;
        Some(Self { access_token, expires_in })
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TokenAnswer(redacted, {:?})", self.expires_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(String, f64)> {
        let answer = TokenAnswer::read(body.as_bytes())?;
        Some((answer.access_token, answer.expires_in.as_secs_f64()))
    }

    #[test]
    fn an_answer_with_a_valid_token_is_read() {
        for (body, seconds) in [
            (r#"{"access_token":"t","expires_in":60,"worker_id":"w","refresh_token":"r"}"#, 60.0),
            (r#"{"access_token":"t"}"#, 3600.0),
            (r#"{"access_token":"t","expires_in":null}"#, 3600.0),
            (r#"{"access_token":"t","expires_in":1.5}"#, 1.5),
            (r#"{"access_token":"t","expires_in":1e300}"#, TokenAnswer::MAX_LIFETIME),
        ] {
            assert_eq!(read(body), Some(("t".to_owned(), seconds)), "{body}");
        }
    }

    #[test]
    fn any_other_answer_is_refused() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"access_token":""}"#,
            r#"{"access_token":5}"#,
            r#"{"access_token":"t","expires_in":0}"#,
            r#"{"access_token":"t","expires_in":-5}"#,
            r#"{"access_token":"t","expires_in":"soon"}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn the_token_is_never_printed() {
        let answer = TokenAnswer::read(br#"{"access_token":"hidden"}"#).expect("a token");
        assert!(!format!("{answer:?}").contains("hidden"));
    }
}
