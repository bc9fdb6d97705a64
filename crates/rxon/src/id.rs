//! Identifiers of workers, tasks and jobs.
//!
//! The orchestrator's rule for identifiers (1.0b17) is `^[a-zA-Z0-9_-]+$`, 1 to 128 characters. It applies to names
//! that the *worker* chooses ([`WorkerId::new`], [`TaskName::new`]). Names that an orchestrator chooses ([`TaskId`],
//! [`JobId`]) may be any text that is not empty, and are sent back unchanged.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::secrets::Masked;
use crate::text::excerpt;

/// The maximal length of an identifier, in characters.
pub const MAX_LENGTH: usize = 128;

/// Returns whether a text follows the orchestrator's rule for identifiers.
///
/// ```
/// assert!(rxon::id::is_identifier("resize_image-2"));
/// assert!(!rxon::id::is_identifier("../etc"));
/// ```
pub fn is_identifier(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A name that does not follow the orchestrator's rule for identifiers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not an identifier: expected 1 to 128 characters of `a-z A-Z 0-9 _ -`")]
pub struct InvalidIdentifier {
    /// An [`excerpt`] of the name.
    pub value: String,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(deserialize_with = "not_empty")] Arc<str>);

        impl $name {
            /// Returns the text as sent and received.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the text for logs and messages: with [secrets](crate::secrets) masked, as its sender may have
            /// quoted some.
            pub fn shown(&self) -> Masked<'_> {
                Masked(&self.0)
            }

            /// Accepts a received text. Returns `None` for an empty one.
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
    };
}

identifier! {
    /// The name under which a worker registers. No two live workers may share one.
    WorkerId
}
identifier! {
    /// The orchestrator's name of a task, one unit of work. Any text that is not empty.
    TaskId
}
identifier! {
    /// The orchestrator's name of the job that a task belongs to. Any text that is not empty.
    JobId
}
identifier! {
    /// The name under which a handler is registered; the `type` of a task.
    TaskName
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    struct NotEmpty;

    impl de::Visitor<'_> for NotEmpty {
        type Value = Arc<str>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a non-empty string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Arc<str>, E> {
            if text.is_empty() {
                return Err(E::invalid_value(de::Unexpected::Str(""), &self));
            }
            Ok(text.into())
        }
    }

    deserializer.deserialize_str(NotEmpty)
}

fn checked(name: &str) -> Result<&str, InvalidIdentifier> {
    if is_identifier(name) { Ok(name) } else { Err(InvalidIdentifier { value: excerpt(name) }) }
}

impl WorkerId {
    /// Checks a name against the orchestrator's rule for identifiers.
    ///
    /// # Errors
    /// Returns [`InvalidIdentifier`] when the name does not follow the rule.
    pub fn new(name: &str) -> Result<Self, InvalidIdentifier> {
        checked(name).map(|name| Self(name.into()))
    }

    /// Creates a name that no other worker has: `worker-` and a random UUID.
    pub fn random() -> Self {
        Self(format!("worker-{}", random_uuid()).into())
    }
}

impl TaskName {
    /// Checks a name against the orchestrator's rule for identifiers.
    ///
    /// # Errors
    /// Returns [`InvalidIdentifier`] when the name does not follow the rule.
    pub fn new(name: &str) -> Result<Self, InvalidIdentifier> {
        checked(name).map(|name| Self(name.into()))
    }
}

/// Creates a random UUID (version 4) in its usual form.
pub fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_orchestrators_rule() {
        for good in ["a", "Worker_1-x", &"a".repeat(128)] {
            assert!(WorkerId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "ключ", "a/b", "a.b", &"a".repeat(129)] {
            assert!(WorkerId::new(bad).is_err(), "{bad}");
            assert!(TaskName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn received_ids_are_kept_unchanged_unless_empty() {
        let odd = "../\u{0}ключ ".repeat(100);
        assert_eq!(TaskId::received(odd.as_str()).expect("not empty").as_str(), odd);
        assert!(TaskId::received("").is_none());
        assert!(serde_json::from_str::<JobId>("\"\"").is_err());
    }

    #[test]
    fn random_names_differ_and_follow_the_rule() {
        let (one, two) = (WorkerId::random(), WorkerId::random());
        assert_ne!(one, two);
        assert!(WorkerId::new(one.as_str()).is_ok());
    }
}
