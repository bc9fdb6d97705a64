//! The seal on a message: fields that are new for every attempt to send it.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::canonical::CannotBeSigned;
use super::prepared::PreparedResult;
use super::signer::Signer;
use super::stamp::Stamp;
use crate::id::WorkerId;
use crate::model::{Generation, TaskResult};

/// The beginning of a seal.
const BEGIN: &[u8] = br#""timestamp":"#;

/// Adds `timestamp`, `nonce` and `security` to messages.
///
/// The orchestrator (1.0b17) refuses a message whose timestamp is more than 60 s off or whose nonce it has seen before.
/// So every *attempt* needs a new seal: never send the same bytes twice.
#[derive(Debug, Clone)]
pub struct Seal {
    signer: Signer,
    /// The JSON of a seal after the signature.
    end: Arc<[u8]>,
}

impl Seal {
    /// Creates a seal with the worker's name and its long-lived token.
    #[expect(clippy::needless_pass_by_value, reason = "a seal is the name's last use, or has its own copy")]
    pub fn new(worker_id: WorkerId, token: &str) -> Self {
        let signer_id = serde_json::to_string(&worker_id).expect("a string always serialises");
        Self {
            signer: Signer::new(token),
            end: format!("\",\"signer_id\":{signer_id}}}}}").into_bytes().into(),
        }
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
        let at = sealed.windows(BEGIN.len()).rposition(|window| window == BEGIN);
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
        let mut sealed = self.stamped(object, &Stamp::new())?;
        sealed.push(b'}');
        match self.signer.sign(&sealed, ignore) {
            Ok(signature) => {
                sealed.pop();
                self.add_signature(&mut sealed, signature.as_bytes());
            }
            Err(error) if generation.checks_signatures() => return Err(error),
            Err(_) => {}
        }
        Ok(sealed.into())
    }

    /// Makes a result ready for [`result`](Self::result), so that no attempt has to read its text. `None` if it cannot be
    /// signed.
    pub fn prepare(&self, result: &TaskResult) -> Option<PreparedResult> {
        PreparedResult::new(result, &self.signer)
    }

    /// Seals the JSON text of a result that is prepared.
    ///
    /// # Errors
    /// Returns [`CannotBeSigned::NotAnObject`] when the text is not an object.
    pub fn result(&self, object: &[u8], prepared: &PreparedResult) -> Result<Bytes, CannotBeSigned> {
        let stamp = Stamp::new();
        let mut sealed = self.stamped(object, &stamp)?;
        self.add_signature(&mut sealed, prepared.sign(&stamp).as_flattened());
        Ok(sealed.into())
    }

    /// Returns an object with a stamp, but without its closing brace.
    fn stamped(&self, object: &[u8], stamp: &Stamp) -> Result<Vec<u8>, CannotBeSigned> {
        /// The length of a seal, but for `end`.
        const LENGTH: usize = 192;
        let inner = object
            .trim_ascii()
            .strip_prefix(b"{")
            .and_then(|rest| rest.strip_suffix(b"}"))
            .ok_or_else(|| CannotBeSigned::NotAnObject("no braces around it".to_owned()))?;
        let mut sealed = Vec::with_capacity(inner.len() + LENGTH + self.end.len());
        sealed.push(b'{');
        sealed.extend_from_slice(inner);
        if !inner.trim_ascii().is_empty() {
            sealed.push(b',');
        }
        sealed.extend_from_slice(BEGIN);
        serde_json::to_writer(&mut sealed, &stamp.timestamp).expect("a number always serialises");
        sealed.extend_from_slice(br#","nonce":""#);
        sealed.extend_from_slice(stamp.nonce.as_flattened());
        sealed.push(b'"');
        Ok(sealed)
    }

    fn add_signature(&self, sealed: &mut Vec<u8>, signature: &[u8]) {
        sealed.extend_from_slice(br#","security":{"signature":""#);
        sealed.extend_from_slice(signature);
        sealed.extend_from_slice(&self.end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::super::canonical::canonical;
    use super::*;
    use crate::id::{JobId, TaskId};
    use crate::model::{Costs, Failure, FileMetadata};

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

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e18..1e18).prop_map(Value::from),
            any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn raw(value: Option<Value>) -> Option<Box<RawValue>> {
        value.map(|value| serde_json::value::to_raw_value(&value).expect("JSON"))
    }

    fn any_result() -> impl Strategy<Value = TaskResult> {
        let costs = (any::<f64>(), proptest::collection::btree_map("[a-z]{1,3}", json(), 0..2));
        let costs = costs.prop_map(|(seconds, further)| Costs {
            execution_time_seconds: seconds,
            further: further.into_iter().filter_map(|(name, cost)| Some((name, raw(Some(cost))?))).collect(),
        });
        let failure = (".{0,6}", proptest::option::of(json())).prop_map(|(text, details)| Failure {
            code: text.as_str().into(),
            message: text,
            details: raw(details),
        });
        let file = (".{0,4}", any::<Option<u64>>(), proptest::option::of(".{0,4}"))
            .prop_map(|(uri, size, etag)| FileMetadata { uri, size, etag });
        let values = [".{1,4}"; 2].map(|_| proptest::option::of(json()));
        let (ids, files) = ([".{1,6}"; 5], proptest::collection::btree_map(".{0,4}", file, 0..3));
        let optional = (proptest::option::of(costs), proptest::option::of(failure), files, values);
        (ids, optional).prop_filter_map(
            "an id is empty",
            |([job, task, worker, origin, status], optional)| {
                let (costs, error, data_metadata, [data, metadata]) = optional;
                let id = |text: String| serde_json::from_value(Value::from(text)).ok();
                Some(TaskResult {
                    job_id: JobId::received(job)?,
                    task_id: TaskId::received(task)?,
                    worker_id: id(worker)?,
                    origin_worker_id: id(origin)?,
                    status,
                    data: raw(data),
                    error,
                    data_metadata,
                    metadata: raw(metadata),
                    costs,
                })
            },
        )
    }

    proptest! {
        #[test]
        fn a_prepared_result_has_the_signature_of_its_text(result in any_result()) {
            let (seal, signer) = (seal(), Signer::new("secret"));
            let text = serde_json::to_vec(&result).expect("JSON");
            let prepared = seal.prepare(&result);
            prop_assert_eq!(prepared.is_some(), canonical(&text, &[]).is_ok());
            for prepared in prepared.iter().chain(&prepared) {
                let sealed = seal.result(&text, prepared).expect("an object");
                let parsed: Value = serde_json::from_slice(&sealed).expect("JSON");
                prop_assert_eq!(&parsed["security"]["signer_id"], "w1");
                let signature = parsed["security"]["signature"].as_str().expect("a text");
                prop_assert!(signer.verify(&sealed, &[], signature), "{}", parsed);
                let inner = text.strip_suffix(b"}").expect("an object");
                prop_assert!(sealed.starts_with(inner));
            }
        }
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
