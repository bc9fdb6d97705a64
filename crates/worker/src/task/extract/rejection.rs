//! Why an argument could not be made.

use serde_json::json;

use crate::task::outcome::{IntoOutcome, Outcome, TaskError};

/// Why an argument could not be made. The task ends with it; the handler is not run.
#[derive(Debug, Clone)]
pub struct Rejection(TaskError);

/// More than anybody reads.
const IN_MESSAGE: usize = 20;

/// More would make a result that orchestrators refuse for its size.
const IN_DETAILS: usize = 1000;

impl Rejection {
    /// The parameters are wrong at these places, of which there is one at least; a path is `.` for the whole of them.
    pub(super) fn problems(problems: impl IntoIterator<Item = (String, String)>) -> Self {
        let problems: Vec<(String, String)> = problems.into_iter().collect();
        let shown: Vec<String> = problems.iter().take(IN_MESSAGE).map(placed).collect();
        let colon = if problems.first().is_some_and(|(path, _)| path != ".") { "" } else { ":" };
        let more = match problems.len().saturating_sub(IN_MESSAGE) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let message = format!("invalid params{colon} {}{more}", shown.join("; "));
        let listed = problems.iter().take(IN_DETAILS);
        let listed: Vec<_> =
            listed.map(|(path, problem)| json!({"path": path, "problem": problem})).collect();
        let mut details = json!({"problems": listed});
        if problems.len() > IN_DETAILS {
            details["omitted"] = json!(problems.len() - IN_DETAILS);
        }
        Self(TaskError::invalid_input(message).with_details(details))
    }

    /// No layer put a value of this type in.
    pub(super) fn missing_extension(name: &str) -> Self {
        Self(TaskError::permanent(format!(
            "the handler asks for `Extension<{name}>`, which no layer put in: add `.layer(Extension(value))`, or \
             insert it in a middleware"
        )))
    }

    /// What the orchestrator is told.
    pub fn error(&self) -> &TaskError {
        &self.0
    }
}

fn placed((path, problem): &(String, String)) -> String {
    if path == "." { problem.clone() } else { format!("at `{path}`: {problem}") }
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
