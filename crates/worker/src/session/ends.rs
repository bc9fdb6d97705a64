//! The tokens that end conversations and polls.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The tokens that end conversations and their polls. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// Starts no further poll, and tells each orchestrator that the worker takes nothing more.
    pub(crate) stop_asking: CancellationToken,
    /// Abandons open polls.
    pub(crate) abandon_polls: CancellationToken,
    /// Waits for open polls to end, because a successor could lose a task to an abandoned poll.
    pub(crate) await_polls: CancellationToken,
    /// Ends the worker: nothing is waited for any more.
    pub(crate) closing: CancellationToken,
    drain_began: Arc<OnceLock<Instant>>,
}

impl Ends {
    /// The tokens of one conversation, which abandons only its own polls.
    pub(crate) fn of_one(&self) -> Self {
        Self { abandon_polls: self.abandon_polls.child_token(), ..self.clone() }
    }

    /// Begins the drain: no further poll is started.
    pub(crate) fn stop_asking(&self) {
        self.drain_began.get_or_init(Instant::now);
        self.stop_asking.cancel();
    }

    /// The time since the drain began; zero before it.
    pub(crate) fn drained_for(&self) -> Duration {
        self.drain_began.get().map_or(Duration::ZERO, Instant::elapsed)
    }
}
