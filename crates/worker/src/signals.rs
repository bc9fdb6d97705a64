//! SIGTERM and SIGINT, for as long as `run` runs.
//!
//! The operating system's handlers are installed for good by the first `run` (that is all tokio and `signal-hook`
//! can do), but whenever none runs, and from a run's second signal on, a signal does what it does without us.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::shutdown::StopCause;

/// Runs that listen now.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// While it is set, signals have their default action.
static DEFAULT_ACTION: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Listens while it lives.
#[derive(Debug)]
pub(crate) struct Listening {
    default_action: Arc<AtomicBool>,
}

impl Listening {
    /// Begins to listen.
    pub(crate) fn begin() -> io::Result<Self> {
        let default_action = if let Some(flag) = DEFAULT_ACTION.get() {
            flag.clone()
        } else {
            let flag = Arc::new(AtomicBool::new(false));
            for number in [SIGTERM, SIGINT] {
                signal_hook::flag::register_conditional_default(number, flag.clone())?;
            }
            DEFAULT_ACTION.get_or_init(|| flag).clone()
        };
        LISTENING.fetch_add(1, Ordering::SeqCst);
        default_action.store(false, Ordering::SeqCst);
        Ok(Self { default_action })
    }

    /// Hands on every signal. Runs on the control path, so that a busy data path does not delay it.
    pub(crate) async fn hand_on(default_action: Arc<AtomicBool>, signals: mpsc::Sender<StopCause>) {
        let listen =
            || Ok::<_, io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
        let (mut terminate, mut interrupt) = match listen() {
            Ok(both) => both,
            Err(error) => {
                tracing::error!(%error, "cannot listen for signals");
                return;
            }
        };
        let mut seen = 0;
        loop {
            let cause = tokio::select! {
                Some(()) = terminate.recv() => StopCause::Terminate,
                Some(()) = interrupt.recv() => StopCause::Interrupt,
                else => return,
            };
            seen += 1;
            if seen == 2 {
                default_action.store(true, Ordering::SeqCst);
            }
            if signals.send(cause).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn default_action(&self) -> Arc<AtomicBool> {
        self.default_action.clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if LISTENING.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.default_action.store(true, Ordering::SeqCst);
        }
    }
}
