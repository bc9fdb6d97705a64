//! What an orchestrator pushes over the websocket.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{JobId, TaskId};

/// One command. Unknown commands are to be ignored with a warning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Command {
    /// What to do: `cancel_task`, or a name of the user's.
    pub command: String,
    /// The task it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The job it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Arguments of a user's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Box<RawValue>>,
    /// What is said about the command, beside its arguments (1.0b17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}
