//! The decision whether a task may be run, by its signature and the policy of its job.

use std::sync::Once;

use rxon::model::{ErrorCode, Task};
use rxon::signing::{Signer, TaskSignatureError};

use crate::task::outcome::TaskError;

/// Decides whether tasks may be run.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Checks the signatures of tasks; `None` if `ORCHESTRATOR_SECRET_KEY` is not set.
    signer: Option<Signer>,
    /// Whether a task without a signature is refused (`REQUIRE_TASK_SIGNATURE`).
    requires_signature: bool,
    warned_of_unsigned: Once,
}

impl Trust {
    /// Trusts tasks that are signed with this key; without a key, every task.
    pub(crate) fn new(key: Option<&str>, requires_signature: bool) -> Self {
        let signer = key.filter(|key| !key.is_empty()).map(Signer::new);
        Self { signer, requires_signature, warned_of_unsigned: Once::new() }
    }

    /// The error that answers a task which must not be run. It contains nothing secret.
    pub(super) fn refusal(&self, task: &Task, body: &[u8]) -> Option<TaskError> {
        let problem = self.signature_problem(body).or_else(|| policy_problem(task))?;
        Some(TaskError::new(ErrorCode::Security, problem))
    }

    fn signature_problem(&self, body: &[u8]) -> Option<String> {
        let error = self.signer.as_ref()?.verify_task(body).err()?;
        if error == TaskSignatureError::Missing && !self.requires_signature {
            self.warned_of_unsigned.call_once(|| {
                tracing::warn!("unsigned tasks are run, because `REQUIRE_TASK_SIGNATURE` is off");
            });
            return None;
        }
        Some(format!(
            "{error}; check that `ORCHESTRATOR_SECRET_KEY` of the worker is the key the orchestrator signs tasks with"
        ))
    }
}

/// A policy that cannot be read permits nothing.
fn policy_problem(task: &Task) -> Option<String> {
    let policy = task.policy.as_ref()?;
    let Ok(members) =
        serde_json::from_str::<std::collections::BTreeMap<String, serde_json::Value>>(policy.get())
    else {
        return Some("`policy` of the task is not an object".to_owned());
    };
    let allowed = members.get("allowed_skills").filter(|allowed| !allowed.is_null())?;
    let Some(skills) = allowed.as_array().filter(|skills| skills.iter().all(serde_json::Value::is_string))
    else {
        return Some("`policy.allowed_skills` of the task is not a list of strings".to_owned());
    };
    let permitted = skills.iter().any(|skill| skill.as_str() == Some(task.name.as_str()));
    (!permitted).then(|| format!("skill `{}` is not among `policy.allowed_skills` of the task", task.name))
}
