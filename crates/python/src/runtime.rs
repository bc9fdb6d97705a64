//! The thread that a worker's data path runs on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use avtomatika_worker::Worker;
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;

use crate::bridge::Bridge;
use crate::error::Failure;
use crate::record::{Ended, Record};

/// The time limit for threads that are left on the runtime, those of the resolver, to end.
const LEFTOVERS: Duration = Duration::from_millis(100);

/// A worker's thread.
#[derive(Clone)]
pub(crate) struct Thread {
    /// Ends the worker at once.
    abort: CancellationToken,
    done: Arc<Done>,
}

/// Whether the thread has ended, and the signal that it has.
#[derive(Default)]
struct Done {
    done: Mutex<bool>,
    changed: Condvar,
}

impl Thread {
    /// Starts the thread. It sends `Record::Ended` when the worker has ended.
    pub(crate) fn start(
        worker: Worker,
        health_check: bool,
        bridge: Arc<Bridge>,
        log: Dispatch,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let this = Self { abort: CancellationToken::new(), done: Arc::default() };
        let inside = this.clone();
        std::thread::Builder::new().name("avtomatika-data".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&log);
            Bridge::ring_later();
            let ringing = bridge.clone();
            // Ends with the runtime.
            runtime.spawn(async move { ringing.ring_soon().await });
            let run = AssertUnwindSafe(|| {
                let ended = runtime.block_on(inside.run(worker, health_check, &bridge));
                // Ends the tasks that the worker left behind, and drops everything that refers to Python.
                runtime.shutdown_timeout(LEFTOVERS);
                ended
            });
            let ended = catch_unwind(run).unwrap_or_else(|_| Some(Err(panicked())));
            if let Some(ended) = ended {
                bridge.push(Record::Ended(ended));
            }
            bridge.ring_if_due();
            *inside.done.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
            inside.done.changed.notify_all();
        })?;
        Ok(this)
    }

    /// Runs the worker; `None` when it was aborted.
    async fn run(&self, worker: Worker, health_check: bool, bridge: &Bridge) -> Option<Ended> {
        let never = std::future::pending();
        let run = async {
            if health_check {
                worker.run_until_with_health_check(never).await
            } else {
                worker.run_until(never).await
            }
        };
        tokio::select! {
            ended = run => Some(ended.map_err(Failure::from)),
            () = bridge.deliver() => None,
            () = self.abort.cancelled() => None,
        }
    }

    /// Ends the worker at once: running tasks are cancelled, unsent results are lost.
    pub(crate) fn abort(&self) {
        self.abort.cancel();
    }

    /// Waits for the thread to end; false when it has not ended within the limit.
    pub(crate) fn join(&self, limit: Duration) -> bool {
        let until = Instant::now().checked_add(limit);
        let mut done = self.done.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            let left = until
                .map_or(Duration::from_secs(3600), |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            done = self.done.changed.wait_timeout(done, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn panicked() -> Failure {
    let message =
        "the worker's thread panicked: a bug in this package; its message is printed above".to_owned();
    Failure { problems: Vec::new(), message, exit_code: 1 }
}
