//! Whether a task may be run: its signature, and what its job permits.

use rxon::model::{ErrorCode, Task};
use rxon::signing::{Signer, TaskSignatureError};

use crate::core::Core;
use crate::task::outcome::TaskError;

/// Why a task is not to be run; the answer to it. Nothing in it comes from a secret.
pub(super) fn distrust(core: &Core, task: &Task, body: &[u8]) -> Option<TaskError> {
    let problem = signature(core, body).or_else(|| policy(task))?;
    Some(TaskError::new(ErrorCode::Security, problem))
}

fn signature(core: &Core, body: &[u8]) -> Option<String> {
    let key = core.config.orchestrator_secret_key.as_ref().filter(|key| !key.is_empty())?;
    let error = Signer::new(key.expose()).verify_task(body).err()?;
    if error == TaskSignatureError::Missing && !core.config.require_task_signature {
        core.warned_of_unsigned.call_once(|| {
            tracing::warn!("tasks that are not signed are run, because `REQUIRE_TASK_SIGNATURE` is off");
        });
        return None;
    }
    Some(format!(
        "{error}; check that `ORCHESTRATOR_SECRET_KEY` of the worker is the key the orchestrator signs tasks with"
    ))
}

/// A limit that cannot be read permits nothing.
fn policy(task: &Task) -> Option<String> {
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
