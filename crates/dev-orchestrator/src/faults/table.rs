//! The table of faults: the only list of their names and of what is said about them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The time after a fault in which workers have to recover.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same after `too_many`: a good worker is silent for over a minute after a refusal without `Retry-After`.
const LONG_PATIENCE: Duration = Duration::from_secs(75);

macro_rules! faults {
    ($($fault:ident, $name:literal, $side:ident, $about:literal, $good_worker:literal;)+) => {
        /// A fault that the orchestrator or its storage can be switched to have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $(
                #[doc = concat!("`", $name, "`: ", $about)]
                #[doc = ""]
                #[doc = concat!("A good worker ", $good_worker)]
                $fault,
            )+
        }

        impl Fault {
            /// All faults.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$fault),+];

            /// The name in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$fault => $name,)+ }
            }

            /// A sentence that says what the fault does.
            pub fn about(self) -> &'static str {
                match self { $(Self::$fault => $about,)+ }
            }

            /// A sentence that says what a good worker does while the fault is on.
            pub fn good_worker(self) -> &'static str {
                match self { $(Self::$fault => concat!("A good worker ", $good_worker),)+ }
            }

            fn side(self) -> Side {
                match self { $(Self::$fault => Side::$side,)+ }
            }
        }
    };
}

faults! {
    Refuse, "refuse", Orchestrator,
        "Connections of workers are reset before a byte of the answer, and their websockets are reset, too.",
        "tries again after growing pauses, keeps its results meanwhile, and goes on with its tasks.";
    Hang, "hang", Orchestrator,
        "Requests of workers are accepted and never answered; when it is switched off, the connections are closed.",
        "gives up each request after a time limit, keeps its results, and goes on with its tasks.";
    Slow, "slow", Orchestrator,
        "Every answer to workers is late, by 3 seconds unless another `delay` is given.",
        "waits for the answers, and sends its heartbeats in time all the same.";
    Cut, "cut", Orchestrator,
        "The connection is reset in the middle of each answer to workers; a task that was cut is given out again.",
        "ignores half an answer, and repeats the request on a new connection.";
    LoseAck, "lose_ack", Orchestrator,
        "The first answer to each result is lost: the result counts, and the connection is reset.",
        "sends the result again, and accepts that it is ignored as a repetition.";
    Error5xx, "error_5xx", Orchestrator,
        "Requests of workers are answered with 500, 502 and 503 in turn.",
        "tries again after growing pauses, and loses no result.";
    TooMany, "too_many", Orchestrator,
        "Polls, heartbeats and results are answered with 429: with `Retry-After: 2`, and every second poll without.",
        "waits as long as `Retry-After` says, for over a minute when there is none, and loses no result.";
    Unauthorized, "unauthorized", Orchestrator,
        "Requests of workers are answered with 401 and 403 in turn, as if their token had ended.",
        "gets a new token where it can, tries again after long pauses, and keeps its results.";
    Forget, "forget", Orchestrator,
        "Workers become unknown, as after a restart without state: all at once, or with a `rate` at their heartbeats.",
        "registers again as soon as a heartbeat is answered with `null`, and goes on with its tasks.";
    Garbage, "garbage", Orchestrator,
        "Each answer to workers that has a body is a page of HTML with status 200, as of a proxy in between.",
        "takes no such answer for success, and repeats the request.";
    Duplicate, "duplicate", Orchestrator,
        "Each task is given a second time, under the same id, to the next poll of the same worker.",
        "runs the task once, and answers the second one with the same result or not at all.";
    StorageSlow, "storage_slow", Storage,
        "Every answer of the storage is late, by 3 seconds unless another `delay` is given.",
        "waits for its files, and sends its heartbeats in time all the same.";
    StorageError, "storage_error", Storage,
        "Requests to the storage are answered with 503 `SlowDown` and 500 `InternalError` in turn.",
        "tries each file again, and reports the task as a failure that may pass if that does not help.";
    StorageCut, "storage_cut", Storage,
        "The connection to the storage is reset in the middle of each answer.",
        "fetches the rest of a file or all of it again, and never takes half a file for a whole one.";
}

/// The server that has a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Orchestrator,
    Storage,
}

impl Fault {
    /// Whether the storage has the fault, instead of the orchestrator.
    pub fn is_of_storage(self) -> bool {
        self.side() == Side::Storage
    }

    /// Whether the fault has a delay that can be set.
    pub(super) fn has_delay(self) -> bool {
        matches!(self, Self::Slow | Self::StorageSlow)
    }

    /// The time after the end of the fault at which its verdict is due.
    pub(super) fn patience(self) -> Duration {
        if self == Self::TooMany { LONG_PATIENCE } else { PATIENCE }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The error for a text that is not the name of a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a fault, expected one of {}", names())]
pub struct UnknownFault {
    name: String,
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.as_str() == text)
            .ok_or_else(|| UnknownFault { name: crate::text::cut(text, 80) })
    }
}

fn names() -> String {
    Fault::ALL.map(|fault| format!("`{fault}`")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
            assert_eq!(fault.is_of_storage(), fault.as_str().starts_with("storage_"), "{fault}");
        }
        let error = "fire".parse::<Fault>().expect_err("no fault").to_string();
        assert!(error.starts_with("`fire` is not a fault, expected one of `refuse`, `hang`, "), "{error}");
    }

    #[test]
    fn every_fault_has_two_sentences() {
        for fault in Fault::ALL {
            assert!(fault.about().ends_with('.') && fault.good_worker().ends_with('.'), "{fault}");
            assert!(fault.good_worker().starts_with("A good worker "), "{fault}");
        }
    }
}
