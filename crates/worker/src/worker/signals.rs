//! SIGTERM and SIGINT while a worker runs.
//!
//! The first `run` installs the operating system's handlers for good (tokio and `signal-hook` cannot remove them). But
//! while no worker runs, and from the second signal of a run on, signals have their default action.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::threads::lock;
use crate::worker::shutdown::StopCause;

/// The number of runs that listen. The flag below is changed under this lock only, except for the second signal of a run.
static LISTENING: Mutex<usize> = Mutex::new(0);

/// Whether signals have their default action.
static DEFAULT_ACTION: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Listens for signals while it lives.
#[derive(Debug)]
pub(crate) struct Listening {
    default_action: Arc<AtomicBool>,
}

impl Listening {
    /// Begins to listen. Signals keep their default action until [`forward`](Self::forward) can receive them.
    pub(crate) fn begin() -> io::Result<Self> {
        let default_action = if let Some(flag) = DEFAULT_ACTION.get() {
            flag.clone()
        } else {
            let flag = Arc::new(AtomicBool::new(true));
            for number in [SIGTERM, SIGINT] {
                signal_hook::flag::register_conditional_default(number, flag.clone())?;
            }
            DEFAULT_ACTION.get_or_init(|| flag).clone()
        };
        *lock(&LISTENING) += 1;
        Ok(Self { default_action })
    }

    /// Forwards every signal. Runs on the control path, so that a busy data path does not delay it.
    pub(crate) fn forward(
        &self,
        signals: mpsc::Sender<StopCause>,
    ) -> impl Future<Output = ()> + Send + use<> {
        forward(self.default_action.clone(), signals)
    }
}

async fn forward(default_action: Arc<AtomicBool>, signals: mpsc::Sender<StopCause>) {
    let listen = || Ok::<_, io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut terminate, mut interrupt) = match listen() {
        Ok(both) => both,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received: they end the process at once");
            return;
        }
    };
    take_over(&default_action);
    for number in 1.. {
        let received = tokio::select! {
            signal = terminate.recv() => signal.map(|()| StopCause::Terminate),
            signal = interrupt.recv() => signal.map(|()| StopCause::Interrupt),
        };
        let Some(cause) = received else {
            tracing::error!("no further signals can be received: they end the process at once");
            default_action.store(true, Ordering::SeqCst);
            return;
        };
        if number == 2 {
            default_action.store(true, Ordering::SeqCst);
        }
        if signals.send(cause).await.is_err() {
            return;
        }
    }
}

/// Takes the default action from signals, unless the run that listened was dropped meanwhile.
fn take_over(default_action: &AtomicBool) {
    let listening = lock(&LISTENING);
    if *listening > 0 {
        default_action.store(false, Ordering::SeqCst);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listening = lock(&LISTENING);
        *listening -= 1;
        if *listening == 0 {
            self.default_action.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_have_their_default_action_before_and_after_they_can_be_received() {
        let listening = Listening::begin().expect("installed");
        let default_action = listening.default_action.clone();
        let is_default = || default_action.load(Ordering::SeqCst);
        assert!(is_default(), "they cannot be received yet");
        let (sender, _receiver) = mpsc::channel(4);
        let mut tasks = tokio::task::JoinSet::new();
        let late = listening.forward(sender.clone());
        tasks.spawn(listening.forward(sender));
        while is_default() {
            tokio::task::yield_now().await;
        }
        drop(listening);
        assert!(is_default());
        tasks.spawn(late);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(tasks.try_join_next().is_none() && is_default(), "a late start changes nothing");
    }
}
