//! Calls of skills on other workers, through the orchestrator that the task came from.

use std::future::Future;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use rxon::ErrorChain;
use rxon::secrets::masked;
use rxon::transport::{Operation, Request};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::peer::Peer;
use crate::threads::lock;

/// The time limit of a call.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The reason why a call of a skill has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkillCallError {
    /// The parameters are not JSON, or no object.
    #[error("the parameters of the call are {0}, expected a JSON object")]
    Params(String),
    /// The orchestrator refused the call.
    #[error("Orchestrator returned HTTP {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The text of the answer.
        text: String,
    },
    /// The answer is not JSON.
    #[error("the orchestrator's answer to the call is not JSON: {0}")]
    NotJson(String),
    /// There was no answer.
    #[error("the orchestrator did not answer the call: {0}")]
    NoAnswer(String),
    /// The task was told to stop, or the call was.
    #[error("the call was cancelled")]
    Cancelled,
}

#[derive(Serialize)]
struct Call<'a> {
    skill_name: &'a str,
    params: &'a RawValue,
}

/// The body of a call, which is not signed.
pub(super) fn body(name: &str, params: &impl Serialize) -> Result<Bytes, SkillCallError> {
    let params = to_raw_value(params).map_err(|error| SkillCallError::Params(error.to_string()))?;
    if !params.get().starts_with('{') {
        return Err(SkillCallError::Params(format!("`{}`", rxon::text::excerpt(params.get()))));
    }
    Ok(serde_json::to_vec(&Call { skill_name: name, params: &params })
        .expect("texts always serialise")
        .into())
}

/// Sends a call over a connection of its own, and waits for the answer.
pub(super) async fn call(peer: &Peer, body: Bytes) -> Result<Box<RawValue>, SkillCallError> {
    let request = Request::new(Operation::CallSkill, TIME_LIMIT).with_ready_made(body);
    let response = peer.connector.transport().exchange(request).await;
    let response = response
        .map_err(|error| SkillCallError::NoAnswer(masked(&ErrorChain(&error).to_string()).into_owned()))?;
    if response.status >= 400 {
        let status = response.status;
        return Err(SkillCallError::Refused { status, text: response.excerpt() });
    }
    if response.body.is_empty() {
        return Ok(RawValue::NULL.to_owned());
    }
    serde_json::from_slice(&response.body).map_err(|_| SkillCallError::NotJson(response.excerpt()))
}

/// A call that runs in the background. Made by
/// [`TaskContext::begin_skill_call`](crate::TaskContext::begin_skill_call).
#[derive(Debug)]
pub struct SkillCall {
    answer: Mutex<mpsc::Receiver<Result<Box<RawValue>, SkillCallError>>>,
    running: AbortHandle,
}

impl SkillCall {
    pub(super) fn begin(
        runtime: &Handle,
        call: impl Future<Output = Result<Box<RawValue>, SkillCallError>> + Send + 'static,
    ) -> Self {
        let (sender, answer) = mpsc::channel();
        let running = runtime.spawn(async move {
            // The receiver is gone if nobody waits for the answer any more.
            let _ = sender.send(call.await);
        });
        Self { answer: Mutex::new(answer), running: running.abort_handle() }
    }

    /// Blocks until the answer is here, and returns it once.
    ///
    /// # Errors
    /// The same as of [`TaskContext::call_skill`](crate::TaskContext::call_skill).
    pub fn wait(&self) -> Result<Box<RawValue>, SkillCallError> {
        lock(&self.answer).recv().unwrap_or(Err(SkillCallError::Cancelled))
    }

    /// Ends the call: [`wait`](Self::wait) returns at once.
    pub fn cancel(&self) {
        self.running.abort();
    }
}
