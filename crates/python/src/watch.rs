//! Whether Python's event loop gets to run at all.
//!
//! It is noticed without Python's lock, which a handler that blocks may hold; only to name that handler it is taken.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use avtomatika_worker::WorkerHandle;
use pyo3::prelude::*;
use tracing::Dispatch;

use crate::bridge::Bridge;

/// How often it looks, and with handlers on the loop wakes it.
const INTERVAL: Duration = Duration::from_millis(100);

/// Blocked for longer than this is worth a warning.
const LONGEST: Duration = Duration::from_secs(1);

/// The thread that watches.
pub(crate) struct Watch {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    /// Waits for a while; true once it is to stop.
    fn wait(&self) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.wait_timeout_while(stopped, INTERVAL, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Watch {
    /// Begins to watch. `name_it` is called, with the seconds so far, to say which handler it is.
    pub(crate) fn start(
        bridge: Arc<Bridge>,
        handle: WorkerHandle,
        name_it: Py<PyAny>,
        log: Dispatch,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let until = stop.clone();
        let thread = std::thread::Builder::new().name("avtomatika-watch".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&log);
            let mut blocked: Option<Instant> = None;
            while !until.wait() {
                let since = bridge.probe().filter(|since| since.elapsed() > LONGEST);
                match (blocked, since) {
                    (None, Some(since)) => {
                        blocked = Some(since);
                        handle.handlers_blocked_since(blocked);
                        name(&name_it, since);
                    }
                    (Some(since), None) => {
                        blocked = None;
                        handle.handlers_blocked_since(None);
                        let duration = since.elapsed();
                        tracing::warn!(?duration, "the event loop is no longer blocked");
                    }
                    _ => {}
                }
            }
            handle.handlers_blocked_since(None);
            // Where Python is about to end there is nobody left who could miss it.
            let _ = Python::try_attach(|_| drop(name_it));
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it, without waiting.
    pub(crate) fn stop(&self) {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.told.notify_all();
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

/// Has Python name the handler. It may have to wait for it to let go of Python's lock.
fn name(name_it: &Py<PyAny>, since: Instant) {
    let named = Python::try_attach(|py| name_it.call1(py, (since.elapsed().as_secs_f64(),)).map(drop));
    if let Some(Err(error)) = named {
        tracing::error!("what blocks the event loop cannot be named: {error}");
    }
}
