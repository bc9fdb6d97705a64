//! The orchestrator's API for clients, to submit and read jobs.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

/// The id of a job that the orchestrator has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobId(String);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client of one orchestrator.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    port: u16,
    server: String,
    token: String,
    agent: Agent,
}

impl Jobs {
    pub(crate) fn new(port: u16, token: &str) -> Self {
        let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).proxy(None);
        Self {
            port,
            server: format!("http://127.0.0.1:{port}"),
            token: token.to_owned(),
            agent: config.build().into(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn submit(&self, blueprint: &str, job: &Value) -> JobId {
        let accepted = self.post(&format!("/jobs/{blueprint}"), job.to_string());
        let accepted = accepted.unwrap_or_else(|error| panic!("the job was not accepted: {error}"));
        JobId(accepted["job_id"].as_str().expect("an accepted job has an id").to_owned())
    }

    pub(crate) fn cancel(&self, id: &JobId) {
        let cancelled = self.post(&format!("/jobs/{id}/cancel"), String::new());
        cancelled.unwrap_or_else(|error| panic!("job {id} cannot be cancelled: {error}"));
    }

    pub(crate) fn job(&self, id: &JobId) -> Value {
        self.get(&format!("/jobs/{id}")).unwrap_or_else(|error| panic!("job {id} cannot be read: {error}"))
    }

    /// Returns the workers the orchestrator knows; empty while it does not answer.
    pub(crate) fn workers(&self) -> Vec<Value> {
        let known = self.get("/workers").ok();
        known.and_then(|known| known.as_array().cloned()).unwrap_or_default()
    }

    /// Requests a path that does not exist, to leave a line in the log. Returns false when there is no answer.
    pub(crate) fn leave_mark(&self, path: &str) -> bool {
        let answer = self.agent.get(format!("{}{path}", self.server)).call();
        matches!(answer, Ok(_) | Err(ureq::Error::StatusCode(_)))
    }

    fn post(&self, path: &str, body: String) -> Result<Value, Box<dyn Error>> {
        let request = self.agent.post(format!("{}/api/v1{path}", self.server));
        let request = request.header("X-Client-Token", &self.token).content_type("application/json");
        json_of(request.send(body)?)
    }

    fn get(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        let request =
            self.agent.get(format!("{}/api/v1{path}", self.server)).header("X-Client-Token", &self.token);
        json_of(request.call()?)
    }
}

fn json_of(mut answer: Response<Body>) -> Result<Value, Box<dyn Error>> {
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
    Ok(serde_json::from_slice(&body)?)
}
