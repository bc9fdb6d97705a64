//! The check of a task's signature, which proves that its sender knows the orchestrator's key.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::signer::Signer;
use crate::json;

/// The members that a task's signature covers. Orchestrators add other members after signing.
const SIGNED: [&str; 14] = [
    "job_id",
    "task_id",
    "type",
    "params",
    "tracing_context",
    "params_metadata",
    "priority",
    "deadline",
    "metadata",
    "timestamp",
    "policy",
    "step",
    "depth",
    "parent_hash",
];

/// The reason why a task's signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TaskSignatureError {
    /// `sig` is missing or null.
    #[error("the task is not signed: `sig` is missing")]
    Missing,
    /// `sig` is not a string, does not match the task or the key, or the task has no canonical form.
    #[error("the signature `sig` of the task does not match")]
    Wrong,
}

impl Signer {
    /// Checks the signature of a task in the body in which it was received, unchanged.
    ///
    /// # Errors
    /// Returns [`TaskSignatureError`] when the signature is missing or wrong: the task must not run.
    pub fn verify_task(&self, body: &[u8]) -> Result<(), TaskSignatureError> {
        match self.verify_json(body) {
            Err(TaskSignatureError::Wrong) => {
                // Signed was what the body means: `NaN` as null, and the last of several members with one name.
                let mended = json::mended_with_nulls(body).ok_or(TaskSignatureError::Wrong)?;
                self.verify_json(mended.as_bytes())
            }
            verified => verified,
        }
    }

    fn verify_json(&self, body: &[u8]) -> Result<(), TaskSignatureError> {
        let mut members: BTreeMap<String, &RawValue> =
            serde_json::from_slice(body).map_err(|_| TaskSignatureError::Wrong)?;
        let signature = match members.get("sig").map(|value| value.get()) {
            None | Some("null") => return Err(TaskSignatureError::Missing),
            Some(text) => serde_json::from_str::<String>(text).map_err(|_| TaskSignatureError::Wrong)?,
        };
        members.retain(|key, _| SIGNED.contains(&key.as_str()));
        let mut matches = self.matches(&members, &signature);
        // `metadata` may have been added after signing, to a task without any or with empty metadata.
        if !matches && members.remove("metadata").is_some() {
            matches = self.matches(&members, &signature);
            let empty = serde_json::from_str("{}").map_err(|_| TaskSignatureError::Wrong)?;
            members.insert("metadata".to_owned(), empty);
            matches = matches || self.matches(&members, &signature);
        }
        if matches { Ok(()) } else { Err(TaskSignatureError::Wrong) }
    }

    fn matches(&self, members: &BTreeMap<String, &RawValue>, signature: &str) -> bool {
        serde_json::to_vec(members).is_ok_and(|text| self.verify(&text, &[], signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V7: &str = r#"{"job_id":"j-1","task_id":"task-1","type":"echo","params":{"text":"hi","times":2},"tracing_context":{},"priority":0,"timestamp":1795451394,"step":1,"metadata":{"cm":1},"security":{"signer_id":"x"},"sig":"3010d6a21f84155095d0a21a0dca38123081bd5afe5f99ff58162b740731d1e6"}"#;
    const V8: &str = r#"{"deadline":1795451768.3600004,"job_id":"6e156f73","params":{"s":20},"priority":0,"step":1,"task_id":"task-10603eea","timestamp":1795451765,"tracing_context":{},"type":"slow","sig":"0fe7c4a7ddb0945f3e448cf100463dee742d2b293044ce30cc7990f37912602f"}"#;

    fn check(body: &str) -> Result<(), TaskSignatureError> {
        Signer::new("orch-secret-key").verify_task(body.as_bytes())
    }

    #[test]
    fn a_signature_matches_whatever_is_added_after_signing() {
        assert_eq!((check(V7), check(V8)), (Ok(()), Ok(())));
        let added = r#""skill_version":"1","skill_type":"x","metadata":{"late":1},"type":"slow""#;
        assert_eq!(check(&V8.replace(r#""type":"slow""#, added)), Ok(()));
    }

    #[test]
    fn the_signature_of_a_changed_task_does_not_match() {
        for (before, after) in [
            (r#""s":20"#, r#""s":21"#),
            (r#""type":"slow""#, r#""type":"rm""#),
            ("68.3600004", "68.3600006"),
            ("0fe7c4a7ddb0945f", "0FE7C4A7DDB0945F"),
            (r#""step":1"#, r#""step":1,"depth":1"#),
        ] {
            let changed = V8.replace(before, after);
            assert_ne!(changed, V8);
            assert_eq!(check(&changed), Err(TaskSignatureError::Wrong), "{changed}");
        }
        assert_eq!(check(&V7.replace(r#""cm":1"#, r#""cm":2"#)), Err(TaskSignatureError::Wrong));
        assert_eq!(Signer::new("other").verify_task(V8.as_bytes()), Err(TaskSignatureError::Wrong));
        assert_eq!(check(r#"{"job_id":"j","sig":7}"#), Err(TaskSignatureError::Wrong));
    }

    #[test]
    fn no_signature_is_missing() {
        for body in [r#"{"job_id":"j"}"#, r#"{"job_id":"j","sig":null}"#] {
            assert_eq!(check(body), Err(TaskSignatureError::Missing));
        }
    }
}
