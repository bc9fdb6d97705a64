//! Exchanges of one kind that have not succeeded for long, although others do. Pure.
//!
//! Refused credentials and 429 make no orchestrator down, and polls that fail are forgotten with each heartbeat that
//! succeeds: so an active orchestrator could give nothing for ever. For this reason it is left when no registration, no
//! heartbeat or no poll has succeeded for a minute and at least three exchanges of that kind have been tried: after a
//! single 429 the silence alone takes a minute. Five minutes later it gets another chance.

use std::time::Duration;

use tokio::time::Instant;

use crate::peer::answer::Exchange;

/// The time without a success after which an orchestrator is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of exchanges that must have failed in that time.
const ENOUGH: u32 = 3;

/// The exchanges of one orchestrator that do not succeed.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Of registrations, heartbeats and polls: the time and number of failures since the last success.
    since: [Option<(Instant, u32)>; 3],
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
            return None;
        }
        let (first, failures) = self.since[kind].map_or((now, 1), |(first, failures)| (first, failures + 1));
        self.since[kind] = Some((first, failures));
        let lasted = now.duration_since(first);
        (lasted >= PATIENCE && failures >= ENOUGH).then_some(lasted)
    }

    /// Takes in that its exchanges do not matter for now.
    pub(super) fn on_standby(&mut self) {
        self.since = Default::default();
    }

    /// Whether there is anything that a success would change.
    pub(super) fn is_empty(&self) -> bool {
        self.since.iter().all(Option::is_none)
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
    fn a_minute_and_three_tries_of_one_kind_without_a_success_are_long() {
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        let (poll, beat) = (Exchange::Poll, Exchange::Heartbeat);
        for (exchange, is_good, seconds, expected) in [
            (poll, false, 0, None),
            (poll, false, 50, None),
            (poll, true, 59, None),
            (poll, false, 60, None),
            (beat, true, 61, None),
            // Only two, as after a 429.
            (poll, false, 125, None),
            (Exchange::Result, false, 126, None),
            (poll, false, 190, Some(130)),
            (poll, true, 191, None),
            (poll, false, 192, None),
            (poll, false, 200, None),
            (poll, false, 251, None),
            (poll, false, 252, Some(60)),
        ] {
            let lasted = refusals.on_exchange(exchange, is_good, at(seconds));
            assert_eq!(lasted, expected.map(Duration::from_secs), "{exchange:?} at {seconds}");
        }
        assert!(!refusals.is_empty());
        refusals.on_standby();
        assert!(refusals.is_empty());
    }
}
