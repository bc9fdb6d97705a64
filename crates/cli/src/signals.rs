//! SIGINT, SIGTERM and SIGHUP.

use std::future::pending;

use anyhow::Context;
use tokio::signal::unix::{self, SignalKind};

/// A signal that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM, or SIGHUP: the terminal was closed.
    Terminate,
}

/// Receives these signals. Once this exists, they no longer end the process.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// `None` if it is ignored, as with `nohup`.
    hang_up: Option<unix::Signal>,
}

impl Signals {
    /// Starts to listen for signals.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("cannot listen for signals");
        Ok(Self {
            // First of all: listening changes what is read here.
            hang_up: hangs_up().then(|| listen(SignalKind::hangup())).transpose()?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Returns the next signal.
    ///
    /// # Cancel safety
    /// A signal that was not returned is returned by the next call.
    pub(crate) async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = hang_up => Signal::Terminate,
        }
    }
}

/// Whether SIGHUP is not ignored. Where that cannot be read, it keeps its default action, or stays ignored.
fn hangs_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is that of SIGHUP, which has the number 1.
    ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & 1 == 0)
}
