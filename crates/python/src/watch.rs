//! Detects a blocked event loop.
//!
//! Detection works without Python's lock, which a blocking handler may hold; the lock is taken only to name that
//! handler.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use avtomatika_worker::WorkerHandle;
use pyo3::prelude::*;
use tracing::Dispatch;

use crate::bridge::Bridge;

/// The interval between two looks at the loop; each look wakes the loop if handlers run on it.
const INTERVAL: Duration = Duration::from_millis(100);

/// A loop that is blocked for longer than this is warned about.
const MAX_BLOCKED: Duration = Duration::from_secs(1);

/// A look that comes this much after its time is late.
const LATE: Duration = Duration::from_millis(500);

/// The thread that watches.
pub(crate) struct Watch {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits for one interval; true once the thread has to stop.
    fn wait(&self) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, INTERVAL, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Watch {
    /// Starts to watch. `name_blocker` is called with the seconds so far, to log which handler blocks.
    pub(crate) fn start(
        bridge: Arc<Bridge>,
        handle: WorkerHandle,
        name_blocker: Py<PyAny>,
        log: Dispatch,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let until = stop.clone();
        let thread = std::thread::Builder::new().name("avtomatika-watch".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&log);
            let mut blocked: Option<Instant> = None;
            let (mut looked, mut ran_since) = (Instant::now(), Instant::now());
            while !until.wait() {
                // Late looks mean that the whole process did not run, which is the fault of no handler.
                if looked.elapsed() > INTERVAL + LATE {
                    ran_since = Instant::now();
                }
                let is_blocked = |since: &Instant| {
                    since.elapsed() > MAX_BLOCKED && (blocked.is_some() || ran_since.elapsed() > MAX_BLOCKED)
                };
                let since = bridge.probe().filter(is_blocked);
                match (blocked, since) {
                    (None, Some(since)) => {
                        blocked = Some(since);
                        handle.handlers_blocked_since(blocked);
                        call_name_blocker(&name_blocker, since);
                    }
                    (Some(since), None) => {
                        blocked = None;
                        handle.handlers_blocked_since(None);
                        let duration = since.elapsed();
                        tracing::warn!(?duration, "the event loop is no longer blocked");
                    }
                    _ => {}
                }
                // After the naming, which may wait for Python's lock.
                looked = Instant::now();
            }
            handle.handlers_blocked_since(None);
            // While the interpreter ends, the object is leaked instead: nothing can use it any more.
            let _ = Python::try_attach(|_| drop(name_blocker));
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Tells the thread to end, without waiting for it.
    pub(crate) fn stop(&self) {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls Python to name the handler. It may have to wait until that handler releases Python's lock.
fn call_name_blocker(name_blocker: &Py<PyAny>, since: Instant) {
    let named = Python::try_attach(|py| name_blocker.call1(py, (since.elapsed().as_secs_f64(),)).map(drop));
    if let Some(Err(error)) = named {
        tracing::error!("the event loop is blocked, and the handler cannot be named: {error}");
    }
}
