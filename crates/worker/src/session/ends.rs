//! The tokens that end conversations and polls.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The tokens that end conversations and the polls that belong to them. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// No further poll is started, and each orchestrator is told that the worker takes nothing more.
    pub(crate) stop_asking: CancellationToken,
    /// Open polls are abandoned.
    pub(crate) let_go: CancellationToken,
    /// Open polls are awaited to their end, because a successor could lose a task to an abandoned poll.
    pub(crate) await_polls: CancellationToken,
    /// The worker ends: nothing is waited for any more.
    pub(crate) closing: CancellationToken,
    drain_began: Arc<OnceLock<Instant>>,
}

impl Ends {
    /// The tokens of one conversation among several: it abandons only its own polls once its orchestrator knows.
    pub(crate) fn of_one(&self) -> Self {
        Self { let_go: self.let_go.child_token(), ..self.clone() }
    }

    /// Begins the drain: no further poll is started.
    pub(crate) fn stop_asking(&self) {
        self.drain_began.get_or_init(Instant::now);
        self.stop_asking.cancel();
    }

    /// The time since the drain began; zero before it did.
    pub(crate) fn drained_for(&self) -> Duration {
        self.drain_began.get().map_or(Duration::ZERO, Instant::elapsed)
    }
}
