//! The status of a task.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TaskStatus {
    /// The task waits for a worker that accepts it.
    Queued,
    /// A worker has the task.
    Running,
    /// The task ended with data: with success, or with a status of the handler's.
    Finished,
    /// The task ended because its input was invalid.
    Failed,
    /// The task ended because of a permanent failure, or too many transient ones.
    Quarantined,
    /// The task was cancelled.
    Cancelled,
}

impl TaskStatus {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Finished, Self::Failed, Self::Quarantined, Self::Cancelled];

    /// Whether the status is final.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The error for a text that is not the name of a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a status, expected `queued`, `running`, `finished`, `failed`, `quarantined` or `cancelled`"
)]
pub struct UnknownStatus(String);

impl FromStr for TaskStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(crate::text::cut(text, 80)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_its_name() {
        for status in TaskStatus::ALL {
            let name = status.as_str();
            assert_eq!(name.parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).expect("a text"), name);
        }
        let error = "done".parse::<TaskStatus>().expect_err("no status");
        assert!(error.to_string().contains("`done`"), "{error}");
    }
}
