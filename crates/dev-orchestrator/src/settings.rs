//! The settings of an orchestrator.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::blueprint::Blueprint;
use crate::imitate::Imitation;
use crate::persist::State;
use crate::s3::S3Settings;

/// The settings of a [`DevOrchestrator`](crate::DevOrchestrator). Every setting has a default.
///
/// ```
/// use std::time::Duration;
///
/// let settings = avtomatika_dev::Settings::new().with_token("secret").with_poll_hold(Duration::from_secs(5));
/// ```
#[derive(Clone)]
pub struct Settings {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) poll_hold: Duration,
    pub(crate) worker_ttl: Duration,
    pub(crate) max_retries: u32,
    pub(crate) retry_delay: Duration,
    pub(crate) task_timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) submission_limit: usize,
    pub(crate) queue_limit: usize,
    pub(crate) history_limit: usize,
    pub(crate) memory_limit: usize,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) storage: Option<S3Settings>,
    pub(crate) imitation: Option<Imitation>,
    /// By their names.
    pub(crate) blueprints: BTreeMap<String, Blueprint>,
    pub(crate) state: Option<State>,
}

impl Settings {
    /// The defaults: a free port of 127.0.0.1, any token, and the limits of the real orchestrators.
    pub fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: None,
            poll_hold: Duration::from_secs(30),
            worker_ttl: Duration::from_secs(60),
            max_retries: 3,
            retry_delay: Duration::from_secs(1),
            task_timeout: Duration::from_secs(300),
            body_limit: 1024 * 1024,
            submission_limit: 16 * 1024 * 1024,
            queue_limit: 100_000,
            history_limit: 100_000,
            memory_limit: 512 * 1024 * 1024,
            allowed_hosts: Vec::new(),
            storage: Some(S3Settings::new()),
            imitation: None,
            blueprints: BTreeMap::new(),
            state: None,
        }
    }

    /// The address to listen on; port 0 takes a free port. Default: `127.0.0.1:0`.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The token that workers have to send. By default any non-empty token is accepted, so that workers need no setup;
    /// signatures are then checked with the token of the request.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The time that a poll is held while there is no task. Default: 30 s.
    #[must_use]
    pub fn with_poll_hold(mut self, hold: Duration) -> Self {
        self.poll_hold = hold;
        self
    }

    /// The time without a request after which a worker is removed, and its tasks are given to others. Default: 60 s.
    #[must_use]
    pub fn with_worker_ttl(mut self, ttl: Duration) -> Self {
        self.worker_ttl = ttl;
        self
    }

    /// The number of retries of a task after transient failures. Default: 3.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// The delay before the first retry of a task; it doubles with each further one, up to a minute. Default: 1 s.
    #[must_use]
    pub fn with_retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// The time limit of tasks that do not set one. Default: 300 s; a year at most.
    #[must_use]
    pub fn with_task_timeout(mut self, timeout: Duration) -> Self {
        self.task_timeout = timeout;
        self
    }

    /// The largest body of a worker's request, in bytes. Default: 1 MiB, as in the real orchestrators.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The largest body of a request that submits tasks, in bytes. Default: 16 MiB.
    #[must_use]
    pub fn with_submission_limit(mut self, bytes: usize) -> Self {
        self.submission_limit = bytes;
        self
    }

    /// The number of tasks that may wait or run at the same time. Default: 100,000.
    #[must_use]
    pub fn with_queue_limit(mut self, tasks: usize) -> Self {
        self.queue_limit = tasks;
        self
    }

    /// The number of ended tasks that are kept; the oldest are removed first. Default: 100,000.
    #[must_use]
    pub fn with_history_limit(mut self, tasks: usize) -> Self {
        self.history_limit = tasks;
        self
    }

    /// The memory for the parameters and data of all tasks, in bytes. Ended tasks are removed to stay below it; if that
    /// is not enough, new tasks are refused. Default: 512 MiB.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Adds a host name for the JSON API, the page and the storage, such as that of a container. Loopback addresses and the
    /// address it listens on are always allowed.
    #[must_use]
    pub fn with_allowed_host(mut self, host: impl Into<String>) -> Self {
        self.allowed_hosts.push(host.into());
        self
    }

    /// The settings of the included local S3. Default: [`S3Settings::new`].
    #[must_use]
    pub fn with_storage(mut self, storage: S3Settings) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Starts no local S3.
    #[must_use]
    pub fn without_storage(mut self) -> Self {
        self.storage = None;
        self
    }

    /// Imitates a real orchestrator where it treats workers in another way: tasks are given up when no worker is idle,
    /// abandoned polls lose tasks, requests are limited. The worker TTL becomes 120 s, as there. By default nothing is
    /// imitated.
    #[must_use]
    pub fn with_imitation(mut self, imitation: Imitation) -> Self {
        self.imitation = Some(imitation);
        self.worker_ttl = Duration::from_secs(120);
        self
    }

    /// Adds a blueprint, of which jobs can be submitted: see [`NewTask::job`](crate::NewTask::job). It replaces one with
    /// the same name.
    #[must_use]
    pub fn with_blueprint(mut self, blueprint: Blueprint) -> Self {
        self.blueprints.insert(blueprint.name().to_owned(), blueprint);
        self
    }

    /// Keeps the state in a directory, and goes on with what is in it. Default: everything is in memory, and lost at the
    /// end.
    ///
    /// What was answered to a request survives the death of this process, however it dies; what a power failure leaves
    /// behind may be older, or unreadable. The storage keeps its objects in the directory, and uses the keys of the state
    /// unless others are set; the token of the state has to be set with [`with_token`](Self::with_token), if it is
    /// wanted.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Gives the storage the keys of the state, unless it has others.
    pub(crate) fn with_kept_keys(mut self) -> Self {
        if let Some(state) = &self.state {
            self.storage = self.storage.map(|storage| storage.with_default_keys(state.storage_keys()));
        }
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("address", &self.address)
            .field("token", &self.token.as_ref().map(|_| "redacted"))
            .field("poll_hold", &self.poll_hold)
            .field("worker_ttl", &self.worker_ttl)
            .field("max_retries", &self.max_retries)
            .field("retry_delay", &self.retry_delay)
            .field("task_timeout", &self.task_timeout)
            .field("body_limit", &self.body_limit)
            .field("submission_limit", &self.submission_limit)
            .field("queue_limit", &self.queue_limit)
            .field("history_limit", &self.history_limit)
            .field("memory_limit", &self.memory_limit)
            .field("allowed_hosts", &self.allowed_hosts)
            .field("storage", &self.storage)
            .field("imitation", &self.imitation)
            .field("blueprints", &self.blueprints.keys())
            .field("state", &self.state)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_never_printed() {
        let text = format!("{:?}", Settings::new().with_token("hunter2"));
        assert!(text.contains("redacted") && !text.contains("hunter2"), "{text}");
    }
}
