//! Identifiers of workers, tasks and jobs.
//!
//! The orchestrator's rule for identifiers (1.0b17) is `^[a-zA-Z0-9_-]+$`, 1 to 128 characters. It is applied to
//! what *we* name ([`WorkerId::new`], [`TaskName::new`]). What an orchestrator names ([`TaskId`], [`JobId`]) is taken
//! as it comes, as long as it is not empty: it goes back unchanged.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::secrets::masked;

/// The longest identifier, in characters.
pub const MAX_LENGTH: usize = 128;

/// Whether a text obeys the orchestrator's rule for identifiers.
///
/// ```
/// assert!(rxon::id::is_identifier("resize_image-2"));
/// assert!(!rxon::id::is_identifier("../etc"));
/// ```
pub fn is_identifier(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A name that does not obey the orchestrator's rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not an identifier: expected 1 to 128 characters of `a-z A-Z 0-9 _ -`")]
pub struct InvalidIdentifier {
    /// What was given, cut to its first 200 characters.
    pub value: String,
}

impl InvalidIdentifier {
    fn new(value: &str) -> Self {
        Self { value: value.chars().take(200).collect() }
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it travels.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text as it may be shown: without [secrets](crate::secrets), which whoever sent it may have put in.
            pub fn shown(&self) -> Cow<'_, str> {
                masked(&self.0)
            }

            /// Takes a text that came over the wire; only the empty one is refused.
            pub fn received(text: impl Into<Arc<str>>) -> Option<Self> {
                let text = text.into();
                (!text.is_empty()).then_some(Self(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, formatter)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::received(text)
                    .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(""), &"a non-empty string"))
            }
        }
    };
}

identifier! {
    /// The name a worker registers under. Two live workers never share one.
    WorkerId
}
identifier! {
    /// One unit of work, as named by the orchestrator. Any non-empty text.
    TaskId
}
identifier! {
    /// The job a task belongs to, as named by the orchestrator. Any non-empty text.
    JobId
}
identifier! {
    /// The name a handler is registered under; the `type` of a task.
    TaskName
}

impl WorkerId {
    /// Checks a name against the orchestrator's rule.
    ///
    /// # Errors
    /// [`InvalidIdentifier`] when the name does not obey it.
    pub fn new(name: &str) -> Result<Self, InvalidIdentifier> {
        if is_identifier(name) { Ok(Self(name.into())) } else { Err(InvalidIdentifier::new(name)) }
    }

    /// A name no other worker has: `worker-` and a random UUID.
    pub fn random() -> Self {
        Self(format!("worker-{}", random_uuid()).into())
    }
}

impl TaskName {
    /// Checks a name against the orchestrator's rule.
    ///
    /// # Errors
    /// [`InvalidIdentifier`] when the name does not obey it.
    pub fn new(name: &str) -> Result<Self, InvalidIdentifier> {
        if is_identifier(name) { Ok(Self(name.into())) } else { Err(InvalidIdentifier::new(name)) }
    }
}

/// A random UUID (version 4) in its usual form.
pub fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_the_orchestrators() {
        for good in ["a", "Worker_1-x", &"a".repeat(128)] {
            assert!(WorkerId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "ключ", "a/b", "a.b", &"a".repeat(129)] {
            assert!(WorkerId::new(bad).is_err(), "{bad}");
            assert!(TaskName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn received_ids_are_taken_as_they_come_unless_empty() {
        let odd = "../\u{0}ключ ".repeat(100);
        assert_eq!(TaskId::received(odd.as_str()).expect("not empty").as_str(), odd);
        assert!(TaskId::received("").is_none());
        assert!(serde_json::from_str::<JobId>("\"\"").is_err());
    }

    #[test]
    fn random_names_differ_and_obey_the_rule() {
        let (one, two) = (WorkerId::random(), WorkerId::random());
        assert_ne!(one, two);
        assert!(WorkerId::new(one.as_str()).is_ok());
    }
}
