//! The log lines and counts of exchanges with one orchestrator: a line when it stops answering and when it answers again,
//! not a line for every failed try.
//!
//! Each kind of exchange is treated separately: polls may fail while heartbeats succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rxon::secrets::masked;
use rxon::transport::Response;
use tokio::time::Instant;
use tracing::Level;

use super::answer::{Answer, Counted, Exchange};
use super::rate::RateGate;
use super::repeated::Repeated;

/// The counters of exchanges with all orchestrators.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerCounts(Family<Vec<(&'static str, String)>, Counter>);

impl PeerCounts {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Exchanges by orchestrator, operation and outcome", self.0.clone());
    }
}

/// The log, the counts and the rates of exchanges with one orchestrator.
#[derive(Debug)]
pub(crate) struct PeerLog {
    /// The address of the orchestrator, without credentials.
    pub(crate) name: Arc<str>,
    kinds: [Kind; Exchange::ALL.len()],
}

/// The exchanges of one kind.
#[derive(Debug)]
struct Kind {
    counters: [Counter; Counted::ALL.len()],
    failures: Repeated,
    gate: RateGate,
    /// A 429 was logged.
    is_limit_logged: AtomicBool,
}

impl PeerLog {
    pub(crate) fn new(name: Arc<str>, counts: &PeerCounts) -> Arc<Self> {
        let counter = |operation: &str, outcome: &str| {
            let labels = [("orchestrator", &*name), ("operation", operation), ("outcome", outcome)];
            counts.0.get_or_create_owned(&labels.map(|(name, value)| (name, value.to_owned())).to_vec())
        };
        let kinds = Exchange::ALL.map(|(_, operation)| Kind {
            counters: Counted::ALL.map(|(_, outcome)| counter(operation, outcome)),
            failures: Repeated::default(),
            gate: RateGate::default(),
            is_limit_logged: AtomicBool::new(false),
        });
        Arc::new(Self { name, kinds })
    }

    fn kind(&self, exchange: Exchange) -> &Kind {
        &self.kinds[exchange as usize]
    }

    /// The rate gate of one kind of exchange.
    pub(crate) fn gate(&self, exchange: Exchange) -> &RateGate {
        &self.kind(exchange).gate
    }

    /// The kinds of exchange that are silent because of their rate, and the rest of each silence.
    pub(crate) fn silences(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let now = Instant::now();
        Exchange::ALL
            .into_iter()
            .map(move |(exchange, name)| (name, self.gate(exchange).silence(now)))
            .filter(|(_, silence)| !silence.is_zero())
    }

    /// Logs and counts an answer, and tells it to the rate gate, as the table in [`answer`](super::answer) says. Returns
    /// the line about a failure.
    pub(super) fn record(&self, exchange: Exchange, answer: &Answer<'_>) -> FailureLine {
        let kind = self.kind(exchange);
        let counted = answer.counted(exchange);
        kind.counters[counted as usize].inc();
        match answer {
            Answer::Nothing(_) => {}
            Answer::TooMany(response) => kind.gate.on_refused(Instant::now(), response.retry_after),
            _ => kind.gate.on_accepted(),
        }
        match (answer, exchange) {
            (
                Answer::TooMany(_),
                Exchange::Heartbeat | Exchange::Poll | Exchange::Result | Exchange::Event,
            ) => self.log_limit(exchange),
            (_, Exchange::Event | Exchange::Token) => {}
            (Answer::Unauthorized(response), _) => return self.refused_credentials(exchange, response),
            _ if counted == Counted::Answered => self.log_again(exchange),
            _ => return self.problem(exchange, &answer.reason()),
        }
        FailureLine(None)
    }

    fn log_again(&self, exchange: Exchange) {
        let failures = self.kind(exchange).failures.over();
        if failures > 0 {
            let operation = exchange.name();
            tracing::info!(orchestrator = %self.name, operation, failures, "the orchestrator answers again");
        }
    }

    fn problem(&self, exchange: Exchange, reason: &str) -> FailureLine {
        let (failures, is_worth_a_line) = self.kind(exchange).failures.again();
        if !is_worth_a_line && !tracing::enabled!(Level::DEBUG) {
            return FailureLine(None);
        }
        // Most of the text comes from the orchestrator.
        let reason = masked(reason);
        let (level, text) = if is_worth_a_line {
            (Level::WARN, format!("the orchestrator does not answer as expected: {reason}"))
        } else {
            (Level::DEBUG, format!("still failing: {reason}"))
        };
        self.line(exchange, level, failures, text)
    }

    fn refused_credentials(&self, exchange: Exchange, response: &Response) -> FailureLine {
        let (failures, is_worth_a_line) = self.kind(exchange).failures.again();
        if !is_worth_a_line {
            let reason = || format!("still refused ({}): {}", response.status, response.error_text());
            let is_shown = tracing::enabled!(Level::DEBUG);
            return if is_shown {
                self.line(exchange, Level::DEBUG, failures, reason())
            } else {
                FailureLine(None)
            };
        }
        let (status, text) = (response.status, response.error_text());
        // 1.0b17 refuses messages whose time differs by more than 60 s with such a text.
        let text = if text.to_ascii_lowercase().contains("timestamp") {
            let difference = clock_difference(response.date, SystemTime::now());
            format!(
                "the orchestrator refuses this worker's messages ({status}): {text}: {difference}; set the clock (NTP \
                 does)"
            )
        } else {
            format!(
                "the orchestrator refuses this worker's credentials ({status}): {text}; check `WORKER_TOKEN` (or \
                 `WORKER_INDIVIDUAL_TOKEN`, or the orchestrator's own `token`) and `WORKER_ID`"
            )
        };
        self.line(exchange, Level::ERROR, failures, text)
    }

    fn line(&self, exchange: Exchange, level: Level, failures: usize, text: String) -> FailureLine {
        FailureLine(Some(Line {
            orchestrator: self.name.clone(),
            operation: exchange.name(),
            failures,
            level,
            text,
        }))
    }

    /// Logged once for each kind of exchange: meeting the limit is normal operation.
    fn log_limit(&self, exchange: Exchange) {
        if self.kind(exchange).is_limit_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        let silence = in_seconds(self.gate(exchange).silence(Instant::now()));
        tracing::info!(
            orchestrator = %self.name,
            "the orchestrator limits the rate of {}s (429): the next is sent in {silence}, and the worker stays below the \
             limit from then on; raise it there with `RATE_LIMIT_…`, or switch it off with `RATE_LIMITING_ENABLED=false`",
            exchange.name()
        );
    }
}

/// A line about an exchange that failed. It is written when it is told the time of the next try, or dropped without.
#[derive(Debug, Default)]
#[must_use = "say when the exchange is tried again"]
pub(crate) struct FailureLine(Option<Line>);

#[derive(Debug)]
struct Line {
    orchestrator: Arc<str>,
    operation: &'static str,
    failures: usize,
    level: Level,
    text: String,
}

impl FailureLine {
    /// Writes the line, with the delay before the next try.
    pub(crate) fn again_in(mut self, delay: Duration) {
        if let Some(line) = &mut self.0 {
            let when =
                if delay.is_zero() { "at once".to_owned() } else { format!("in {}", in_seconds(delay)) };
            line.text = format!("{}; tried again {when}", line.text);
        }
    }

    /// Writes the line, with the time of the next try: at once if it is not known.
    pub(crate) fn again_at(self, at: Option<Instant>) {
        self.again_in(at.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now())));
    }
}

impl Drop for FailureLine {
    fn drop(&mut self) {
        let Some(Line { orchestrator, operation, failures, level, text }) = self.0.take() else { return };
        match level {
            Level::ERROR => tracing::error!(%orchestrator, operation, failures, "{text}"),
            Level::WARN => tracing::warn!(%orchestrator, operation, failures, "{text}"),
            _ => tracing::debug!(%orchestrator, operation, failures, "{text}"),
        }
    }
}

/// A duration for people.
pub(crate) fn in_seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

/// The greatest difference, in seconds, of clocks that count as equal: an answer takes time, and its date has whole
/// seconds.
const EQUAL_WITHIN: u64 = 10;

/// The difference between this clock and the time in an answer, in words.
fn clock_difference(there: Option<SystemTime>, here: SystemTime) -> String {
    let (seconds, direction) = match there.map(|there| here.duration_since(there)) {
        Some(Ok(ahead)) => (ahead.as_secs(), "ahead of"),
        Some(Err(behind)) => (behind.duration().as_secs(), "behind"),
        None => (0, ""),
    };
    // A small difference is not the cause: something between the two may have written the date.
    if seconds <= EQUAL_WITHIN {
        "the clocks of the two machines differ".to_owned()
    } else {
        format!("this machine's clock is {seconds} s {direction} the orchestrator's")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl PeerLog {
        pub(in crate::peer) fn count(&self, exchange: Exchange, counted: Counted) -> u64 {
            self.kind(exchange).counters[counted as usize].get()
        }
    }

    #[test]
    fn the_difference_of_two_clocks_is_logged_if_it_is_known() {
        let (here, seconds) = (SystemTime::now(), Duration::from_secs);
        assert_eq!(
            clock_difference(Some(here - seconds(120)), here),
            "this machine's clock is 120 s ahead of the orchestrator's"
        );
        assert_eq!(
            clock_difference(Some(here + seconds(120)), here),
            "this machine's clock is 120 s behind the orchestrator's"
        );
        for there in [None, Some(here), Some(here + seconds(2)), Some(here - seconds(10))] {
            assert_eq!(clock_difference(there, here), "the clocks of the two machines differ");
        }
    }
}
