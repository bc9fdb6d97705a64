//! Handlers that the runtime does not run.

use std::fmt;
use std::future::Future;

use tokio::sync::oneshot;

use crate::task::context::{OnThread, TaskContext};
use crate::task::outcome::{Outcome, TaskError};

/// A task that something outside of the runtime runs. Made by [`TaskContext::outside`]; dropped before it is finished,
/// it fails the task.
#[must_use = "dropped, it fails the task"]
pub struct Outside {
    context: TaskContext,
    running: Option<(OnThread, oneshot::Sender<Outcome>)>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Outside").field(&self.context).finish()
    }
}

impl Outside {
    /// `context` is the task's [for a thread](TaskContext::for_thread).
    pub(super) fn begin(context: TaskContext) -> (Self, impl Future<Output = Outcome> + Send + use<>) {
        let (sender, receiver) = oneshot::channel();
        let running = Some((OnThread::begin(&context), sender));
        // Whoever gives it up tells it.
        let given_up = context.token().clone().drop_guard();
        let outcome = async move {
            let outcome = receiver.await;
            given_up.disarm();
            outcome.unwrap_or_else(|_| Outcome::Failed(TaskError::transient("the handler was lost")))
        };
        (Self { context, running }, outcome)
    }

    /// The task, as the handler sees it: [`is_cancelled`](TaskContext::is_cancelled) once it is to stop.
    pub fn context(&self) -> &TaskContext {
        &self.context
    }

    /// The handler has ended. Its outcome counts, unless the task was told to stop before. Never blocks.
    pub fn finish(mut self, outcome: Outcome) {
        if let Some((running, sender)) = self.running.take() {
            running.ended();
            // Nobody waits any more for a task that was given up.
            let _ = sender.send(outcome);
        }
    }
}
