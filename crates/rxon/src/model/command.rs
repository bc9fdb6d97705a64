//! Commands that an orchestrator pushes over the websocket.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::reading::if_readable;
use crate::id::{JobId, TaskId};

/// A command. A receiver ignores an unknown command with a warning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Command {
    /// The name of the command: `cancel_task`, or a name that the user defined.
    pub command: String,
    /// The task that the command is about. A value that is not an id counts as absent.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The job that the command is about. A value that is not an id counts as absent.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The arguments of a user's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Box<RawValue>>,
    /// Information about the command, beside its arguments (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_an_id_counts_as_absent() {
        for no_id in ["null", "\"\"", "5", "{}", "[\"t\"]"] {
            let text =
                format!(r#"{{"command":"cancel_task","task_id":{no_id},"job_id":"j","params":{no_id}}}"#);
            let command: Command = serde_json::from_str(&text).expect("a command");
            assert_eq!((command.task_id, command.job_id.expect("one").as_str()), (None, "j"), "{text}");
        }
    }
}
