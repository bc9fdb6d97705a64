//! An orchestrator as the worker sees it: the connection to it, its answers, and their effects.
//!
//! [`answer`] decides the meaning of answers, with a table of their effects; [`log`] has the log lines, counts and rates
//! of exchanges; [`rate`] keeps below the orchestrator's limits; [`token`] fetches short-lived tokens; [`advice`] explains
//! errors; [`repeated`] thins out log lines; [`cluster`] makes one orchestrator of several addresses.

mod advice;
pub(crate) mod answer;
pub(crate) mod cluster;
pub(crate) mod log;
pub(crate) mod rate;
pub(crate) mod repeated;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use rxon::limit::within;
use rxon::model::Generation;
use rxon::signing::Seal;
use rxon::transport::Connector;
use rxon::transport::http::MAX_FRAME;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::answer::{Answer, Contact, Exchange};
use self::log::{FailureLine, PeerLog};
use self::rate::RateGate;
use crate::threads::lock;

/// A text to be written to a websocket.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) text: Bytes,
    /// Signalled once the text is written; dropped when it could not be.
    pub(crate) written: oneshot::Sender<()>,
}

/// An address of an orchestrator. A websocket is opened to each.
#[derive(Debug)]
pub(crate) struct Line {
    /// The address, for logs; without credentials.
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn Connector>,
}

/// An orchestrator: the connection to it, and its state as far as it is known.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The address, for logs; without credentials.
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn Connector>,
    /// Its address, or those of a cluster.
    pub(crate) lines: Vec<Line>,
    pub(crate) seal: Seal,
    pub(crate) log: Arc<PeerLog>,
    /// The generation that the orchestrator spoke with an earlier process of this worker.
    assumed: OnceLock<Generation>,
    /// The generation that the orchestrator speaks, once it has accepted a registration.
    generation: watch::Sender<Option<Generation>>,
    /// It has accepted a registration, and has not forgotten the worker since.
    is_registered: watch::Sender<bool>,
    /// The ways to the open websockets, by the index of the line.
    websockets: Mutex<BTreeMap<usize, mpsc::Sender<Frame>>>,
    /// See [`note_doubt`](Self::note_doubt).
    doubt: AtomicBool,
    /// The time of the last answer to a heartbeat.
    heartbeat_answered: Mutex<Option<Instant>>,
    /// Notified when the answer to a poll shows that the orchestrator does not know the worker.
    forgotten: Notify,
    /// Cancelled at shutdown, once the orchestrator knows that the worker takes nothing more, or could not be told.
    pub(crate) goodbye: CancellationToken,
}

impl Peer {
    /// An orchestrator with a single address.
    #[cfg(test)]
    pub(crate) fn new(log: Arc<PeerLog>, connector: Arc<dyn Connector>, seal: Seal) -> Arc<Self> {
        let line = Line { name: log.name.clone(), connector: connector.clone() };
        Self::with_lines(log, connector, vec![line], seal)
    }

    /// An orchestrator with these addresses.
    pub(crate) fn with_lines(
        log: Arc<PeerLog>,
        connector: Arc<dyn Connector>,
        lines: Vec<Line>,
        seal: Seal,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: log.name.clone(),
            log,
            connector,
            lines,
            seal,
            assumed: OnceLock::new(),
            generation: watch::Sender::new(None),
            is_registered: watch::Sender::new(false),
            websockets: Mutex::default(),
            doubt: AtomicBool::new(false),
            heartbeat_answered: Mutex::default(),
            forgotten: Notify::new(),
            goodbye: CancellationToken::new(),
        })
    }

    /// The names under which results may be kept for it: its own, and those that its addresses had before they were
    /// declared a cluster.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let further = self.lines.iter().map(|line| &line.name).filter(|name| **name != self.name);
        std::iter::once(&self.name).chain(further)
    }

    /// Carries out the effects of an answer, as the table in [`answer`] says: logs and counts it, passes it to the rate
    /// gate, and keeps a notice for the conversation. Returns the sign for the fleet, and the line about a failure.
    pub(crate) fn record(&self, exchange: Exchange, answer: &Answer<'_>) -> (Option<Contact>, FailureLine) {
        let line = self.log.record(exchange, answer);
        match (answer, exchange) {
            (Answer::Nothing(_), Exchange::Event | Exchange::Token | Exchange::Websocket) => {}
            (Answer::Nothing(_), _) => self.note_doubt(),
            (Answer::Unknown(_), Exchange::Poll) => self.forgotten.notify_one(),
            (Answer::Good, Exchange::Heartbeat) => *lock(&self.heartbeat_answered) = Some(Instant::now()),
            _ => {}
        }
        (answer.contact(exchange), line)
    }

    /// Whether a heartbeat was answered since this time.
    pub(crate) fn answers_since(&self, time: Instant) -> bool {
        lock(&self.heartbeat_answered).is_some_and(|answered| answered >= time)
    }

    /// Notes that a connection failed: the orchestrator may have restarted and forgotten the worker.
    pub(crate) fn note_doubt(&self) {
        self.doubt.store(true, Ordering::Relaxed);
    }

    /// Returns whether a doubt was noted since the last call.
    pub(crate) fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::Relaxed)
    }

    /// Waits for the notice that the orchestrator has forgotten the worker.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the notice to the next call.
    pub(crate) async fn until_forgotten(&self) {
        self.forgotten.notified().await;
    }

    /// The rate gate of one kind of exchange.
    pub(crate) fn gate(&self, exchange: Exchange) -> &RateGate {
        self.log.gate(exchange)
    }

    /// The generation that the orchestrator speaks. Until the first registration it is the one that it spoke with an
    /// earlier process, or else the older one, so that nothing is sent that only the newer one understands.
    pub(crate) fn generation(&self) -> Generation {
        let registered = *self.generation.borrow();
        registered.or(self.assumed.get().copied()).unwrap_or(Generation::Older)
    }

    /// Sets the generation that the orchestrator spoke with an earlier process of this worker.
    pub(crate) fn assume_generation(&self, generation: Generation) {
        let _ = self.assumed.set(generation);
    }

    /// Records that the orchestrator has accepted a registration.
    pub(crate) fn set_registered(&self, generation: Generation) {
        // Notices about the registration before this one are out of date.
        let _ = self.forgotten.notified().now_or_never();
        self.take_doubt();
        self.generation.send_replace(Some(generation));
        self.is_registered.send_replace(true);
    }

    /// Records that the orchestrator does not know the worker any more.
    pub(crate) fn set_unregistered(&self) {
        self.is_registered.send_replace(false);
    }

    pub(crate) fn is_registered(&self) -> bool {
        *self.is_registered.borrow()
    }

    /// Whether the orchestrator has accepted a registration, even if it has forgotten it since.
    pub(crate) fn was_registered(&self) -> bool {
        self.generation.borrow().is_some()
    }

    pub(crate) async fn until_registered(&self) {
        let _ = self.is_registered.subscribe().wait_for(|is_registered| *is_registered).await;
    }

    pub(crate) async fn until_unregistered(&self) {
        let _ = self.is_registered.subscribe().wait_for(|is_registered| !*is_registered).await;
    }

    /// Whether commands can be pushed now.
    pub(crate) fn has_websocket(&self) -> bool {
        !lock(&self.websockets).is_empty()
    }

    /// Sets the way to the open websocket of a line. Returns whether there was one before.
    pub(crate) fn set_websocket(&self, line: usize, frames: Option<mpsc::Sender<Frame>>) -> bool {
        let mut websockets = lock(&self.websockets);
        match frames {
            Some(frames) => websockets.insert(line, frames),
            None => websockets.remove(&line),
        }
        .is_some()
    }

    /// Writes a text to the websocket. Returns false if there is none, if the text is too long for it, or if it could not
    /// be written in time.
    ///
    /// # Cancel safety
    /// Dropped, the text may have been written or not.
    pub(crate) async fn write_to_websocket(&self, text: Bytes, limit: Duration) -> bool {
        // Longer texts would end the websocket, over which commands come.
        if text.len() > MAX_FRAME {
            return false;
        }
        let Some(frames) = lock(&self.websockets).values().next().cloned() else { return false };
        let (sender, written) = oneshot::channel();
        let writing = async move {
            frames.send(Frame { text, written: sender }).await.is_ok() && written.await.is_ok()
        };
        within(limit, writing).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
