//! Short-lived tokens.

use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The answer of `POST /_worker/auth/token` (1.0b17). Not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    /// Stands in `X-Worker-Token` for the long-lived token; never signs.
    pub access_token: String,
    /// How long it lives: 1 s to a year; 3600 s when the orchestrator does not say.
    pub expires_in: Duration,
}

impl TokenAnswer {
    const USUAL: f64 = 3600.0;
    const LONGEST: f64 = 365.0 * 86_400.0;

    /// Reads the body of an answer. None when it holds no token, or one that has expired already.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let access_token = body.get("access_token")?.as_str().filter(|token| !token.is_empty())?.to_owned();
        let seconds = match body.get("expires_in") {
            None | Some(Value::Null) => Self::USUAL,
            Some(seconds) => seconds.as_f64()?,
        };
        let expires_in = (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(Self::LONGEST)))?;
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
    fn what_holds_a_token_that_lives_is_read() {
        for (body, seconds) in [
            (r#"{"access_token":"t","expires_in":60,"worker_id":"w","refresh_token":"r"}"#, 60.0),
            (r#"{"access_token":"t"}"#, 3600.0),
            (r#"{"access_token":"t","expires_in":null}"#, 3600.0),
            (r#"{"access_token":"t","expires_in":1.5}"#, 1.5),
            (r#"{"access_token":"t","expires_in":1e300}"#, TokenAnswer::LONGEST),
        ] {
            assert_eq!(read(body), Some(("t".to_owned(), seconds)), "{body}");
        }
    }

    #[test]
    fn anything_else_is_none() {
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
    fn it_is_never_printed() {
        let answer = TokenAnswer::read(br#"{"access_token":"hidden"}"#).expect("a token");
        assert!(!format!("{answer:?}").contains("hidden"));
    }
}
