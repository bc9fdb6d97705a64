//! Access keys of the storage.

use crate::config::{KEY, Problem, Secret, is_key};

/// An access key, its secret key, and the token of a session.
#[derive(Debug, Clone)]
pub(super) struct AccessKeys {
    pub(super) id: Secret,
    pub(super) secret: Secret,
    pub(super) token: Option<Secret>,
}

impl AccessKeys {
    /// Returns the keys in the environment of the AWS tools; None without both keys.
    pub(super) fn of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Problem> {
        let secret = |name: &str| {
            let checked = variable(name).map(usable).transpose();
            checked.map_err(|expected| Problem::new(name, "***", expected))
        };
        // One key alone is ignored, whatever it is.
        if variable("AWS_ACCESS_KEY_ID").is_none() || variable("AWS_SECRET_ACCESS_KEY").is_none() {
            return Ok(None);
        }
        let (Some(id), Some(secret_key)) = (secret("AWS_ACCESS_KEY_ID")?, secret("AWS_SECRET_ACCESS_KEY")?)
        else {
            return Ok(None);
        };
        Ok(Some(Self { id, secret: secret_key, token: secret("AWS_SESSION_TOKEN")? }))
    }

    /// Returns all of them.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        [Some(&self.id), Some(&self.secret), self.token.as_ref()].into_iter().flatten().cloned().collect()
    }
}

/// Returns a key that can be sent in a request, or the expectation for an error message.
pub(super) fn usable(key: String) -> Result<Secret, &'static str> {
    if is_key(&key) { Ok(Secret::new(key)) } else { Err(KEY) }
}
