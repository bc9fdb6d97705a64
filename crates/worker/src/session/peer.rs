//! An orchestrator, and what is known of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use rxon::model::Generation;
use rxon::signing::Seal;
use rxon::transport::{Connector, Response};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// An orchestrator, how to reach it, and what is known of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address, for logs; without credentials.
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) seal: Seal,
    pub(crate) log: PeerLog,
    /// The generation it speaks, once it has accepted a registration.
    registered: watch::Sender<Option<Generation>>,
    /// It has not forgotten the worker since.
    known: watch::Sender<bool>,
    /// A websocket stands.
    websocket: AtomicBool,
    /// A connection failed since the last heartbeat: it may have restarted and forgotten us.
    connection_failed: AtomicBool,
    /// Somebody was told that the worker is not known.
    forgotten: Notify,
    /// At shutdown: it knows that the worker takes nothing more, or could not be told.
    told_goodbye: CancellationToken,
}

impl Peer {
    pub(crate) fn new(name: Arc<str>, connector: Arc<dyn Connector>, seal: Seal) -> Arc<Self> {
        Arc::new(Self {
            log: PeerLog::new(name.clone()),
            name,
            connector,
            seal,
            registered: watch::Sender::new(None),
            connection_failed: AtomicBool::new(false),
            forgotten: Notify::new(),
            known: watch::Sender::new(false),
            websocket: AtomicBool::new(false),
            told_goodbye: CancellationToken::new(),
        })
    }

    /// Until the first registration, what only the newer generation understands is left out.
    pub(crate) fn generation(&self) -> Generation {
        self.registered.borrow().unwrap_or(Generation::Older)
    }

    pub(crate) fn is_registered(&self) -> bool {
        *self.known.borrow()
    }

    pub(super) async fn until_registered(&self) {
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    pub(super) async fn until_unregistered(&self) {
        let _ = self.known.subscribe().wait_for(|known| !*known).await;
    }

    /// Whether commands can be pushed now.
    pub(super) fn has_websocket(&self) -> bool {
        self.websocket.load(Ordering::Relaxed)
    }

    /// Gives what was before.
    pub(super) fn set_websocket(&self, open: bool) -> bool {
        self.websocket.swap(open, Ordering::Relaxed)
    }

    pub(super) fn registered(&self, generation: Generation) {
        // What was said of the registration before this one is no news.
        let _ = self.forgotten.notified().now_or_never();
        self.registered.send_replace(Some(generation));
        self.known.send_replace(true);
    }

    /// Whether it has accepted a registration, even if it has forgotten it since.
    pub(super) fn was_registered(&self) -> bool {
        self.registered.borrow().is_some()
    }

    pub(super) fn unregistered(&self) {
        self.known.send_replace(false);
    }

    pub(crate) fn connection_failed(&self) {
        self.connection_failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_connection_failed(&self) -> bool {
        self.connection_failed.swap(false, Ordering::Relaxed)
    }

    pub(super) fn goodbye_told(&self) {
        self.told_goodbye.cancel();
    }

    /// Waits until it knows that the worker takes nothing more, or could not be told.
    pub(crate) async fn until_goodbye_told(&self) {
        self.told_goodbye.cancelled().await;
    }

    pub(super) fn was_forgotten(&self) {
        self.forgotten.notify_one();
    }

    pub(super) async fn forgotten(&self) {
        self.forgotten.notified().await;
    }
}

/// Says once that an orchestrator does not answer, and once that it does again: not a line for every failed try.
///
/// Each kind of exchange is counted for itself: heartbeats that succeed say nothing of polls that fail.
#[derive(Debug)]
pub(crate) struct PeerLog {
    name: Arc<str>,
    failures: [AtomicUsize; 5],
}

/// What is asked of an orchestrator again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Registration,
    Heartbeat,
    Poll,
    Result,
    Websocket,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Heartbeat => "heartbeat",
            Self::Poll => "poll",
            Self::Result => "result",
            Self::Websocket => "websocket",
        }
    }
}

impl PeerLog {
    fn new(name: Arc<str>) -> Self {
        Self { name, failures: Default::default() }
    }

    /// It answered.
    pub(crate) fn answered(&self, asked: Asked) {
        let counter = &self.failures[asked as usize];
        if counter.load(Ordering::Relaxed) > 0 {
            let (operation, failures) = (asked.name(), counter.swap(0, Ordering::Relaxed));
            tracing::info!(orchestrator = %self.name, operation, failures, "the orchestrator answers again");
        }
    }

    /// An exchange with it failed. Every tenth power of failures is said again, so that a log's tail shows it.
    pub(crate) fn failed(&self, asked: Asked, reason: &dyn std::fmt::Display) {
        let failures = self.failures[asked as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let (orchestrator, operation) = (&self.name, asked.name());
        if is_power_of_ten(failures) {
            tracing::warn!(%orchestrator, operation, failures, "the orchestrator does not answer as expected: {reason}");
        } else {
            tracing::debug!(%orchestrator, operation, failures, "still failing: {reason}");
        }
    }

    /// It refused our credentials.
    pub(crate) fn refused(&self, asked: Asked, response: &Response) {
        let failures = self.failures[asked as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if is_power_of_ten(failures) {
            tracing::error!(
                orchestrator = %self.name, operation = asked.name(), failures, status = response.status,
                "the orchestrator refuses this worker's credentials ({}): {}; check `WORKER_TOKEN` (or \
                 `WORKER_INDIVIDUAL_TOKEN`, or the orchestrator's own `token`) and `WORKER_ID`; it is tried again",
                response.status, response.error_text()
            );
        }
    }
}

fn is_power_of_ten(mut number: usize) -> bool {
    while number.is_multiple_of(10) && number > 0 {
        number /= 10;
    }
    number == 1
}
