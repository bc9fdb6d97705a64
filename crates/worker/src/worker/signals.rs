//! SIGTERM and SIGINT while a worker runs.
//!
//! The first `run` installs the operating system's handlers for good (tokio and `signal-hook` cannot remove them). But
//! while no worker runs, and from the second signal of a run on, signals have their default action.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::threads::lock;
use crate::worker::shutdown::StopCause;

/// The number of runs that listen. The flag below is changed under this lock only, except for the second signal of a run.
static LISTENING: Mutex<usize> = Mutex::new(0);

/// Whether signals have their default action.
static DEFAULT_ACTION: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// Whether the handlers that look at this flag are installed.
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// Listens for signals while it lives.
#[derive(Debug)]
pub(crate) struct Listening(());

impl Listening {
    /// Begins to listen. Signals keep their default action until [`forward`] can receive them.
    pub(crate) fn begin() -> io::Result<Self> {
        let mut is_installed = lock(&INSTALLED);
        if !*is_installed {
            for number in [SIGTERM, SIGINT] {
                signal_hook::flag::register_conditional_default(number, DEFAULT_ACTION.clone())?;
            }
            *is_installed = true;
        }
        *lock(&LISTENING) += 1;
        Ok(Self(()))
    }
}

/// Forwards every signal. Runs on the control path, so that a busy data path does not delay it.
pub(crate) async fn forward(signals: mpsc::Sender<StopCause>) {
    let listen = || Ok::<_, io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut terminate, mut interrupt) = match listen() {
        Ok(both) => both,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received: they end the process at once");
            return;
        }
    };
    take_over();
    for number in 1.. {
        let received = tokio::select! {
            signal = terminate.recv() => signal.map(|()| StopCause::Terminate),
            signal = interrupt.recv() => signal.map(|()| StopCause::Interrupt),
        };
        let Some(cause) = received else {
            tracing::error!("no further signals can be received: they end the process at once");
            DEFAULT_ACTION.store(true, Ordering::SeqCst);
            return;
        };
        if number == 2 {
            DEFAULT_ACTION.store(true, Ordering::SeqCst);
        }
        if signals.send(cause).await.is_err() {
            return;
        }
    }
}

/// Takes the default action from signals, unless the run that listened was dropped meanwhile.
fn take_over() {
    let listening = lock(&LISTENING);
    if *listening > 0 {
        DEFAULT_ACTION.store(false, Ordering::SeqCst);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listening = lock(&LISTENING);
        *listening -= 1;
        if *listening == 0 {
            DEFAULT_ACTION.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_have_their_default_action_before_and_after_they_can_be_received() {
        let listening = Listening::begin().expect("installed");
        let is_default = || DEFAULT_ACTION.load(Ordering::SeqCst);
        assert!(is_default(), "they cannot be received yet");
        let (sender, _receiver) = mpsc::channel(4);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(forward(sender.clone()));
        while is_default() {
            tokio::task::yield_now().await;
        }
        drop(listening);
        assert!(is_default());
        tasks.spawn(forward(sender));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(tasks.try_join_next().is_none() && is_default(), "a late start changes nothing");
    }
}
