//! Why an argument could not be made.

use serde_json::json;

use crate::handler::{IntoOutcome, Outcome, TaskError};

/// Why an argument could not be made. The task ends with it; the handler is not run.
#[derive(Debug, Clone)]
pub struct Rejection(TaskError);

impl Rejection {
    /// The parameters are wrong at one place; `path` is `.` for the whole of them.
    pub(super) fn params(path: &str, problem: &str) -> Self {
        let place = if path == "." { String::new() } else { format!(" at `{path}`") };
        Self(
            TaskError::invalid_input(format!("invalid params{place}: {problem}"))
                .with_details(json!({"problems": [{"path": path, "problem": problem}]})),
        )
    }

    /// What the orchestrator is told.
    pub fn error(&self) -> &TaskError {
        &self.0
    }
}

impl IntoOutcome for Rejection {
    fn into_outcome(self) -> Outcome {
        Outcome::Failed(self.0)
    }
}
