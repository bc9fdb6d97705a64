//! The thread that a worker's data path runs on, and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use avtomatika_worker::{Stopped, Worker};
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;

use crate::bridge::{Bridge, Record};
use crate::error::Failure;

/// How a worker ended, or why it did not run.
pub(crate) type Ended = Result<Stopped, Failure>;

/// How long what is left on the runtime may take to end: the resolver's threads.
const LEFTOVERS: Duration = Duration::from_millis(100);

/// A worker's thread.
#[derive(Clone)]
pub(crate) struct Thread {
    /// Ends the worker at once.
    abort: CancellationToken,
    done: Arc<Done>,
}

#[derive(Default)]
struct Done {
    done: Mutex<bool>,
    told: Condvar,
}

impl Thread {
    /// Starts it. Its end is told over the bridge.
    pub(crate) fn start(
        worker: Worker,
        health_check: bool,
        bridge: Arc<Bridge>,
        log: Dispatch,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let this = Self { abort: CancellationToken::new(), done: Arc::default() };
        let told = this.clone();
        std::thread::Builder::new().name("avtomatika-data".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&log);
            let run = AssertUnwindSafe(|| {
                let ended = runtime.block_on(told.run(worker, health_check, &bridge));
                // Whatever it left behind ends here, with everything that holds on to Python.
                runtime.shutdown_timeout(LEFTOVERS);
                ended
            });
            let ended = catch_unwind(run).unwrap_or_else(|_| Some(Err(panicked())));
            if let Some(ended) = ended {
                bridge.push(Record::Ended(ended), 0);
            }
            *told.done.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
            told.done.told.notify_all();
        })?;
        Ok(this)
    }

    /// None when it was aborted.
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

    /// Ends the worker at once: what runs is told to stop, what was not sent is lost.
    pub(crate) fn abort(&self) {
        self.abort.cancel();
    }

    /// Waits for its end; false when it has not ended in time.
    pub(crate) fn join(&self, limit: Duration) -> bool {
        let until = Instant::now().checked_add(limit);
        let mut done = self.done.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            let left = until
                .map_or(Duration::from_secs(3600), |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            done = self.done.told.wait_timeout(done, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn panicked() -> Failure {
    let message =
        "the worker's thread panicked: a mistake in this package, whose message stands above".to_owned();
    Failure { problems: Vec::new(), message, exit_code: 1 }
}
