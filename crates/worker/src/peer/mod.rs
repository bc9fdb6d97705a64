//! An orchestrator, and what is known of it.

pub(crate) mod advice;
pub(crate) mod rate;
pub(crate) mod repeated;
pub(crate) mod token;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use rxon::model::Generation;
use rxon::secrets::masked;
use rxon::signing::Seal;
use rxon::transport::http::MAX_FRAME;
use rxon::transport::{Connector, Response};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::health::metrics::Metrics;
use crate::peer::repeated::Repeated;
use crate::threads::lock;

/// Something to be said over a websocket.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) text: Bytes,
    /// Told once it is written; dropped when it could not be.
    pub(crate) said: oneshot::Sender<()>,
}

/// An orchestrator, how to reach it, and what is known of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address, for logs; without credentials.
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) seal: Seal,
    pub(crate) log: PeerLog,
    /// The generation it spoke with a worker before this one.
    assumed: OnceLock<Generation>,
    /// The generation it speaks, once it has accepted a registration.
    registered: watch::Sender<Option<Generation>>,
    /// It has not forgotten the worker since.
    known: watch::Sender<bool>,
    /// What is to be said over the websocket that stands.
    websocket: Mutex<Option<mpsc::Sender<Frame>>>,
    /// It asked for the skills once more.
    wants_skills: AtomicBool,
    /// A connection failed since the last heartbeat: it may have restarted and forgotten us.
    connection_failed: AtomicBool,
    /// Somebody was told that the worker is not known.
    forgotten: Notify,
    /// At shutdown: it knows that the worker takes nothing more, or could not be told.
    told_goodbye: CancellationToken,
}

impl Peer {
    pub(crate) fn new(
        name: Arc<str>,
        connector: Arc<dyn Connector>,
        seal: Seal,
        counts: PeerCounts,
    ) -> Arc<Self> {
        Arc::new(Self {
            log: PeerLog::new(name.clone(), counts),
            name,
            connector,
            seal,
            assumed: OnceLock::new(),
            registered: watch::Sender::new(None),
            wants_skills: AtomicBool::new(false),
            connection_failed: AtomicBool::new(false),
            forgotten: Notify::new(),
            known: watch::Sender::new(false),
            websocket: Mutex::new(None),
            told_goodbye: CancellationToken::new(),
        })
    }

    /// Until the first registration, what only the newer generation understands is left out, unless it is known to.
    pub(crate) fn generation(&self) -> Generation {
        let registered = *self.registered.borrow();
        registered.or(self.assumed.get().copied()).unwrap_or(Generation::Older)
    }

    /// It spoke this generation with a worker before this one.
    pub(crate) fn assume(&self, generation: Generation) {
        let _ = self.assumed.set(generation);
    }

    pub(crate) fn is_registered(&self) -> bool {
        *self.known.borrow()
    }

    pub(crate) async fn until_registered(&self) {
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    pub(crate) async fn until_unregistered(&self) {
        let _ = self.known.subscribe().wait_for(|known| !*known).await;
    }

    pub(crate) fn wants_skills(&self) -> bool {
        self.wants_skills.load(Ordering::Relaxed)
    }

    pub(crate) fn set_wants_skills(&self, wants: bool) {
        self.wants_skills.store(wants, Ordering::Relaxed);
    }

    /// Whether commands can be pushed now.
    pub(crate) fn has_websocket(&self) -> bool {
        lock(&self.websocket).is_some()
    }

    /// Tells whether there was one before.
    pub(crate) fn set_websocket(&self, frames: Option<mpsc::Sender<Frame>>) -> bool {
        std::mem::replace(&mut *lock(&self.websocket), frames).is_some()
    }

    /// Says something over the websocket. False without one, for what is too long for one, and when it could not be
    /// written in time.
    ///
    /// # Cancel safety
    /// Dropped, it may have been said or not.
    pub(crate) async fn say(&self, text: Bytes, limit: Duration) -> bool {
        // It would end the websocket, and commands come over that.
        if text.len() > MAX_FRAME {
            return false;
        }
        let Some(frames) = lock(&self.websocket).clone() else { return false };
        let (tell, said) = oneshot::channel();
        let saying =
            async move { frames.send(Frame { text, said: tell }).await.is_ok() && said.await.is_ok() };
        tokio::time::timeout(limit, saying).await.unwrap_or(false)
    }

    pub(crate) fn registered(&self, generation: Generation) {
        // What was said of the registration before this one is no news.
        let _ = self.forgotten.notified().now_or_never();
        self.registered.send_replace(Some(generation));
        self.known.send_replace(true);
    }

    /// Whether it has accepted a registration, even if it has forgotten it since.
    pub(crate) fn was_registered(&self) -> bool {
        self.registered.borrow().is_some()
    }

    pub(crate) fn unregistered(&self) {
        self.known.send_replace(false);
    }

    pub(crate) fn connection_failed(&self) {
        self.connection_failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_connection_failed(&self) -> bool {
        self.connection_failed.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn goodbye_told(&self) {
        self.told_goodbye.cancel();
    }

    /// Waits until it knows that the worker takes nothing more, or could not be told.
    pub(crate) async fn until_goodbye_told(&self) {
        self.told_goodbye.cancelled().await;
    }

    pub(crate) fn was_forgotten(&self) {
        self.forgotten.notify_one();
    }

    pub(crate) async fn forgotten(&self) {
        self.forgotten.notified().await;
    }
}

/// Says once that an orchestrator does not answer, and once that it does again: not a line for every failed try.
///
/// Each kind of exchange is counted for itself: heartbeats that succeed say nothing of polls that fail.
#[derive(Debug)]
pub(crate) struct PeerLog {
    name: Arc<str>,
    counts: PeerCounts,
    /// Until when nothing is sent because of a 429.
    silences: [Mutex<Option<Instant>>; 5],
    failures: [Repeated; 5],
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

/// How a result ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultEnd {
    Acknowledged,
    Ignored,
    Replaced,
    Rejected,
}

/// What is counted of one orchestrator.
#[derive(Debug, Default)]
pub(crate) struct PeerCounts {
    requests: [[Counter; 4]; 5],
    results: [Counter; 4],
}

impl PeerCounts {
    pub(crate) fn new(metrics: &Metrics, orchestrator: &str) -> Self {
        let requests = Asked::ALL.map(|asked| {
            ["answered", "failed", "refused", "rate_limited"]
                .map(|outcome| metrics.requests(orchestrator, asked.name(), outcome))
        });
        let results = ["acknowledged", "ignored", "replaced", "rejected"]
            .map(|verdict| metrics.results(orchestrator, verdict));
        Self { requests, results }
    }
}

impl Asked {
    const ALL: [Self; 5] = [Self::Registration, Self::Heartbeat, Self::Poll, Self::Result, Self::Websocket];

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
    fn new(name: Arc<str>, counts: PeerCounts) -> Self {
        Self { name, counts, silences: Default::default(), failures: Default::default() }
    }

    /// It has had enough of this for a while (429).
    pub(crate) fn limited(&self, asked: Asked, silence: Duration) {
        self.counts.requests[asked as usize][3].inc();
        *lock(&self.silences[asked as usize]) = Some(Instant::now() + silence);
    }

    /// What is not asked for a while, and for how much longer.
    pub(crate) fn silences(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let now = Instant::now();
        Asked::ALL.into_iter().filter_map(move |asked| {
            let until = (*lock(&self.silences[asked as usize]))?;
            Some((asked.name(), until.checked_duration_since(now)?)).filter(|(_, left)| !left.is_zero())
        })
    }

    /// What became of a result.
    pub(crate) fn result(&self, ended: ResultEnd) {
        self.counts.results[ended as usize].inc();
    }

    /// It answered.
    pub(crate) fn answered(&self, asked: Asked) {
        self.counts.requests[asked as usize][0].inc();
        let failures = self.failures[asked as usize].over();
        if failures > 0 {
            let operation = asked.name();
            tracing::info!(orchestrator = %self.name, operation, failures, "the orchestrator answers again");
        }
    }

    /// An exchange with it failed.
    pub(crate) fn failed(&self, asked: Asked, reason: &dyn std::fmt::Display) {
        self.counts.requests[asked as usize][1].inc();
        let (failures, is_worth_a_line) = self.failures[asked as usize].again();
        let (orchestrator, operation) = (&self.name, asked.name());
        // Much of it comes from the other side.
        let reason = reason.to_string();
        let reason = masked(&reason);
        if is_worth_a_line {
            tracing::warn!(%orchestrator, operation, failures, "the orchestrator does not answer as expected: {reason}");
        } else {
            tracing::debug!(%orchestrator, operation, failures, "still failing: {reason}");
        }
    }

    /// It refused our credentials.
    pub(crate) fn refused(&self, asked: Asked, response: &Response) {
        self.counts.requests[asked as usize][2].inc();
        let (failures, is_worth_a_line) = self.failures[asked as usize].again();
        if !is_worth_a_line {
            return;
        }
        let text = response.error_text();
        // 1.0b17 refuses what is more than 60 s off in this way.
        if text.to_ascii_lowercase().contains("timestamp") {
            tracing::error!(
                orchestrator = %self.name, operation = asked.name(), failures, status = response.status,
                "the orchestrator refuses this worker's messages ({}): {text}: {}; set the clock (NTP does); it is \
                 tried again",
                response.status, difference(response.date, SystemTime::now())
            );
        } else {
            tracing::error!(
                orchestrator = %self.name, operation = asked.name(), failures, status = response.status,
                "the orchestrator refuses this worker's credentials ({}): {}; check `WORKER_TOKEN` (or \
                 `WORKER_INDIVIDUAL_TOKEN`, or the orchestrator's own `token`) and `WORKER_ID`; it is tried again",
                response.status, text
            );
        }
    }
}

/// Clocks that are this close agree: an answer takes its time, and its date has whole seconds.
const AGREE_WITHIN: u64 = 10;

/// How far this clock is from that of an answer.
fn difference(there: Option<SystemTime>, here: SystemTime) -> String {
    let apart = there.map(|there| match here.duration_since(there) {
        Ok(ahead) => (ahead.as_secs(), "ahead of"),
        Err(behind) => (behind.duration().as_secs(), "behind"),
    });
    match apart {
        // Something between the two may have written the date.
        None | Some((..=AGREE_WITHIN, _)) => "the clocks of the two machines differ".to_owned(),
        Some((seconds, direction)) => {
            format!("this machine's clock is {seconds} s {direction} the orchestrator's")
        }
    }
}

/// Said once for each kind of request: meeting the limit is normal operation.
pub(crate) fn say_rate_limited(orchestrator: &str, kind: &str) {
    tracing::info!(
        orchestrator,
        "the orchestrator limits the rate of {kind} (429): the worker stays below the limit from now on; raise it \
         there with `RATE_LIMIT_…`, or switch it off with `RATE_LIMITING_ENABLED=false`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_two_clocks_are_apart_is_said_when_it_is_known() {
        let (here, seconds) = (SystemTime::now(), Duration::from_secs);
        assert_eq!(
            difference(Some(here - seconds(120)), here),
            "this machine's clock is 120 s ahead of the orchestrator's"
        );
        assert_eq!(
            difference(Some(here + seconds(120)), here),
            "this machine's clock is 120 s behind the orchestrator's"
        );
        for there in [None, Some(here), Some(here + seconds(2)), Some(here - seconds(10))] {
            assert_eq!(difference(there, here), "the clocks of the two machines differ");
        }
    }
}
