//! The seal on a message: fields that are new for every attempt to send it.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;

use super::canonical::CannotBeSigned;
use super::signer::Signer;
use crate::id::WorkerId;
use crate::model::Generation;

/// Adds `timestamp`, `nonce` and `security` to messages.
///
/// The orchestrator (1.0b17) refuses a message whose timestamp is more than 60 s off or whose nonce it has seen before.
/// So every *attempt* needs a new seal: never send the same bytes twice.
#[derive(Debug, Clone)]
pub struct Seal {
    signer: Signer,
    worker_id: WorkerId,
}

impl Seal {
    /// Creates a seal with the worker's name and its long-lived token.
    pub fn new(worker_id: WorkerId, token: &str) -> Self {
        Self { signer: Signer::new(token), worker_id }
    }

    /// Serialises and seals a message for one attempt.
    ///
    /// # Errors
    /// Returns [`CannotBeSigned`] when the message cannot be signed and is for the newer generation. For the older one,
    /// which does not check signatures, the message is left unsigned.
    pub fn message<T: Serialize>(
        &self,
        message: &T,
        ignore: &[&str],
        generation: Generation,
    ) -> Result<Bytes, CannotBeSigned> {
        let text =
            serde_json::to_vec(message).map_err(|error| CannotBeSigned::NotAnObject(error.to_string()))?;
        self.text(&text, ignore, generation)
    }

    /// Replaces the seal of a message for another attempt: with a new timestamp, nonce and signature. A message that
    /// cannot be signed is left unsigned, as at the first attempt.
    ///
    /// # Errors
    /// Returns [`CannotBeSigned::NotAnObject`] when the message has no seal.
    pub fn again(&self, sealed: &[u8], ignore: &[&str]) -> Result<Bytes, CannotBeSigned> {
        // The seal is at the end, and no text inside it looks like its beginning.
        const STAMP: &[u8] = br#""timestamp":"#;
        let at = sealed.windows(STAMP.len()).rposition(|window| window == STAMP);
        let end = at.ok_or_else(|| CannotBeSigned::NotAnObject("it was not sealed".to_owned()))?;
        let inner = sealed[..end].strip_suffix(b",").unwrap_or(&sealed[..end]);
        self.text(&[inner, b"}"].concat(), ignore, Generation::Older)
    }

    /// Seals the JSON text of an object for one attempt.
    ///
    /// # Errors
    /// The same as of [`Seal::message`].
    pub fn text(
        &self,
        object: &[u8],
        ignore: &[&str],
        generation: Generation,
    ) -> Result<Bytes, CannotBeSigned> {
        let inner = object
            .trim_ascii()
            .strip_prefix(b"{")
            .and_then(|rest| rest.strip_suffix(b"}"))
            .ok_or_else(|| CannotBeSigned::NotAnObject("no braces around it".to_owned()))?;
        let mut sealed = Vec::with_capacity(inner.len() + 256);
        sealed.push(b'{');
        sealed.extend_from_slice(inner);
        let comma = if inner.trim_ascii().is_empty() { "" } else { "," };
        let (timestamp, nonce) = (unix_seconds(), fastrand::u128(..));
        let stamp = format!(r#"{comma}"timestamp":{timestamp},"nonce":"{nonce:032x}"}}"#);
        sealed.extend_from_slice(stamp.as_bytes());
        match self.signer.sign(&sealed, ignore) {
            Ok(signature) => {
                sealed.pop();
                let signer_id = serde_json::to_string(&self.worker_id).expect("a string always serialises");
                let security =
                    format!(r#","security":{{"signature":"{signature}","signer_id":{signer_id}}}}}"#);
                sealed.extend_from_slice(security.as_bytes());
            }
            Err(error) if generation.checks_signatures() => return Err(error),
            Err(_) => {}
        }
        Ok(sealed.into())
    }
}

/// Returns the seconds since 1970; 0 when the clock shows an earlier time.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn seal() -> Seal {
        Seal::new(WorkerId::new("w1").expect("an identifier"), "secret")
    }

    #[test]
    fn every_attempt_differs_and_verifies() {
        let message = serde_json::json!({"worker_id": "w1", "status": "idle"});
        let one = seal().message(&message, &[], Generation::Newer).expect("signable");
        let two = seal().message(&message, &[], Generation::Newer).expect("signable");
        assert_ne!(one, two);
        let parsed: Value = serde_json::from_slice(&one).expect("JSON");
        assert_eq!(parsed["security"]["signer_id"], "w1");
        assert!(parsed["timestamp"].is_u64());
        let signature = parsed["security"]["signature"].as_str().expect("a text");
        assert!(Signer::new("secret").verify(&one, &[], signature));
        assert!(!Signer::new("other").verify(&one, &[], signature));
        assert!(!Signer::new("secret").verify(&one, &[], &signature.to_uppercase()));
    }

    #[test]
    fn a_sealed_message_can_be_sealed_again() {
        let texts = [
            r#"{"a":1}"#,
            "{}",
            r#"{"a":"\"timestamp\":","timestamp":5,"nonce":"x"}"#,
            r#"{"data":{"n":1e22}}"#,
            r#"{"data":{"timestamp":{"security":{}}}}"#,
        ];
        for text in texts {
            let one = seal().text(text.as_bytes(), &[], Generation::Older).expect("sealed");
            let two = seal().again(&one, &[]).expect("sealed again");
            let three = seal().again(&two, &[]).expect("and again");
            assert_ne!(one, two);
            let (one, three): (Value, Value) =
                (serde_json::from_slice(&one).expect("JSON"), serde_json::from_slice(&three).expect("JSON"));
            assert_ne!(one["nonce"], three["nonce"]);
            let members =
                |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
            assert_eq!(members(&one), members(&three), "{text}");
            let original: Value = serde_json::from_str(text).expect("JSON");
            for (name, value) in original.as_object().expect("an object") {
                assert!(["timestamp", "nonce"].contains(&name.as_str()) || three[name] == *value, "{text}");
            }
            if let Some(signature) = one["security"]["signature"].as_str() {
                let again: Value = serde_json::from_slice(&two).expect("JSON");
                let renewed = again["security"]["signature"].as_str().expect("a text");
                assert_ne!(signature, renewed);
                assert!(Signer::new("secret").verify(&two, &[], renewed), "{text}");
            }
        }
        assert!(seal().again(br#"{"a":1}"#, &[]).is_err());
    }

    #[test]
    fn the_empty_object_can_be_sealed() {
        let sealed = seal().text(b"{ }", &[], Generation::Newer).expect("signable");
        assert!(serde_json::from_slice::<Value>(&sealed).expect("JSON").is_object());
    }

    #[test]
    fn a_message_that_cannot_be_signed_is_left_unsigned_for_the_older_generation_only() {
        let text = br#"{"data":{"n":1e22}}"#;
        assert!(seal().text(text, &[], Generation::Newer).is_err());
        let sealed = seal().text(text, &[], Generation::Older).expect("sent unsigned");
        let text = std::str::from_utf8(&sealed).expect("UTF-8");
        assert!(
            text.starts_with(r#"{"data":{"n":1e22},"timestamp":"#) && !text.contains("security"),
            "{text}"
        );
    }

    #[test]
    fn the_key_is_never_printed() {
        assert!(!format!("{:?}", seal()).contains("secret"));
    }
}
