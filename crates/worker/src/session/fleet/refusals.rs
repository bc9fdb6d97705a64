//! Exchanges of one kind that have not succeeded for long, although others do. Pure.
//!
//! Refused credentials and 429 make no orchestrator down, and polls that fail are forgotten with each heartbeat that
//! succeeds: so an active orchestrator could give nothing for ever. For this reason it is left when no registration, no
//! heartbeat or no poll has succeeded for 5 minutes and at least three exchanges of that kind have been tried. It gets
//! another chance after as long; if it makes no use of that within a minute, it is left again.

use std::time::Duration;

use tokio::time::Instant;

use crate::peer::answer::Exchange;

/// The time without a success after which an orchestrator is left.
const PATIENCE: Duration = Duration::from_secs(300);

/// The same for an orchestrator that was left for this reason before.
const SECOND_CHANCE: Duration = Duration::from_secs(60);

/// The number of exchanges that must have failed in that time.
const ENOUGH: u32 = 3;

/// The exchanges of one orchestrator that do not succeed.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Of registrations, heartbeats and polls: the time and number of failures since the last success.
    since: [Option<(Instant, u32)>; 3],
    /// The kind for which it was left; forgotten when one of that kind succeeds.
    left_for: Option<usize>,
}

impl Refusals {
    /// Takes in the end of an exchange. Returns the time without a success once it is long enough.
    pub(super) fn on_exchange(
        &mut self,
        exchange: Exchange,
        is_good: bool,
        now: Instant,
    ) -> Option<Duration> {
        let kind = kind(exchange)?;
        if is_good {
            self.since[kind] = None;
            self.left_for = self.left_for.filter(|left_for| *left_for != kind);
            return None;
        }
        let (first, failures) = self.since[kind].map_or((now, 1), |(first, failures)| (first, failures + 1));
        self.since[kind] = Some((first, failures));
        let patience = if self.left_for == Some(kind) { SECOND_CHANCE } else { PATIENCE };
        let lasted = now.duration_since(first);
        (lasted >= patience && failures >= ENOUGH).then_some(lasted)
    }

    /// Takes in that it is left because of this exchange.
    pub(super) fn on_left(&mut self, exchange: Exchange) {
        self.left_for = kind(exchange);
        self.since = Default::default();
    }

    /// Takes in that its exchanges do not matter for now.
    pub(super) fn on_standby(&mut self) {
        self.since = Default::default();
    }

    /// Whether there is anything that a success would change.
    pub(super) fn is_empty(&self) -> bool {
        self.left_for.is_none() && self.since.iter().all(Option::is_none)
    }
}

fn kind(exchange: Exchange) -> Option<usize> {
    match exchange {
        Exchange::Registration => Some(0),
        Exchange::Heartbeat => Some(1),
        Exchange::Poll => Some(2),
        Exchange::Result | Exchange::Event | Exchange::Token | Exchange::Websocket => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_without_a_success_of_one_kind_are_long_and_one_minute_the_second_time() {
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        let (poll, beat) = (Exchange::Poll, Exchange::Heartbeat);
        let mut table = |steps: &[(Exchange, bool, u64, Option<u64>)]| {
            for (exchange, is_good, seconds, expected) in steps {
                let lasted = refusals.on_exchange(*exchange, *is_good, at(*seconds));
                assert_eq!(lasted, expected.map(Duration::from_secs), "{exchange:?} at {seconds}");
            }
        };
        table(&[
            (poll, false, 0, None),
            (poll, false, 200, None),
            (poll, true, 299, None),
            (poll, false, 300, None),
            (beat, true, 301, None),
            // Only two.
            (poll, false, 700, None),
            (Exchange::Result, false, 701, None),
            (poll, false, 702, Some(402)),
        ]);
        refusals.on_left(poll);
        let mut table = |steps: &[(Exchange, bool, u64, Option<u64>)]| {
            for (exchange, is_good, seconds, expected) in steps {
                let lasted = refusals.on_exchange(*exchange, *is_good, at(*seconds));
                assert_eq!(lasted, expected.map(Duration::from_secs), "{exchange:?} at {seconds}");
            }
        };
        table(&[
            (poll, false, 1000, None),
            (beat, true, 1001, None),
            (poll, false, 1030, None),
            (poll, false, 1060, Some(60)),
            (poll, true, 1061, None),
            (poll, false, 1062, None),
            (poll, false, 1100, None),
            (poll, false, 1130, None),
            (poll, false, 1362, Some(300)),
        ]);
        assert!(!refusals.is_empty());
        refusals.on_standby();
        assert!(refusals.is_empty());
    }
}
