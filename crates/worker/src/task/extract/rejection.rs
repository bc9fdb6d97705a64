//! Arguments that cannot be made.

use serde_json::json;

use crate::task::outcome::{IntoOutcome, Outcome, TaskError};

/// The reason why an argument could not be made. The task ends with it; the handler is not run.
#[derive(Debug, Clone)]
pub struct Rejection(pub(super) TaskError);

/// The maximum number of problems in the message: people read no more.
const MAX_IN_MESSAGE: usize = 20;

/// The maximum number of problems in the details: orchestrators refuse results that are too large.
const MAX_IN_DETAILS: usize = 1000;

impl Rejection {
    /// The parameters have these problems, at least one, each with its path; `.` means the parameters as a whole.
    pub(crate) fn problems(problems: impl IntoIterator<Item = (String, String)>) -> Self {
        let problems: Vec<(String, String)> = problems.into_iter().collect();
        let placed = |(path, problem): &(String, String)| match path.as_str() {
            "." => problem.clone(),
            path => format!("at `{path}`: {problem}"),
        };
        let shown: Vec<String> = problems.iter().take(MAX_IN_MESSAGE).map(placed).collect();
        let colon = if problems.first().is_some_and(|(path, _)| path != ".") { "" } else { ":" };
        let more = match problems.len().saturating_sub(MAX_IN_MESSAGE) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let message = format!("invalid params{colon} {}{more}", shown.join("; "));
        let listed = problems.iter().take(MAX_IN_DETAILS);
        let listed: Vec<_> =
            listed.map(|(path, problem)| json!({"path": path, "problem": problem})).collect();
        let mut details = json!({"problems": listed});
        if problems.len() > MAX_IN_DETAILS {
            details["omitted"] = json!(problems.len() - MAX_IN_DETAILS);
        }
        Self(TaskError::invalid_input(message).with_details(details))
    }

    /// The error that the orchestrator receives.
    pub fn error(&self) -> &TaskError {
        &self.0
    }
}

impl From<Rejection> for TaskError {
    fn from(rejection: Rejection) -> Self {
        rejection.0
    }
}

impl IntoOutcome for Rejection {
    fn into_outcome(self) -> Outcome {
        Outcome::Failed(self.0)
    }
}
