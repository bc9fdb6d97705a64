//! The log of exchanges: bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::exchange::{Exchange, Head};

/// The number of exchanges that are kept.
pub(super) const MAX_EXCHANGES: usize = 10_000;

/// The bytes of all bodies that are kept; the oldest are dropped first.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The last exchanges, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    exchanges: VecDeque<Exchange>,
    /// The number of the last exchange; the first is 1.
    last: u64,
    /// The bytes of the bodies.
    bytes: usize,
    /// The number of exchanges at the front whose bodies were dropped.
    bare: usize,
}

impl Log {
    pub(super) fn push(&mut self, head: Head, request: Bytes, response: Bytes) {
        self.last += 1;
        if self.exchanges.len() == MAX_EXCHANGES
            && let Some(oldest) = self.exchanges.pop_front()
        {
            self.bytes -= oldest.weight();
            self.bare = self.bare.saturating_sub(1);
        }
        let exchange = Exchange {
            number: self.last,
            head: Arc::new(head),
            request: Some(request),
            response: Some(response),
        };
        self.bytes += exchange.weight();
        self.exchanges.push_back(exchange);
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.exchanges.get_mut(self.bare)
        {
            self.bytes -= oldest.weight();
            (oldest.request, oldest.response) = (None, None);
            self.bare += 1;
        }
    }

    /// The number of the last exchange, 0 if there was none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Returns the exchanges after this one, the oldest first.
    pub(super) fn after(&self, number: u64) -> impl DoubleEndedIterator<Item = &Exchange> {
        let first = self.exchanges.front().map_or(0, |first| first.number);
        let skipped = usize::try_from(number.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        self.exchanges.range(skipped.min(self.exchanges.len())..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(log: &Log, after: u64) -> Vec<u64> {
        log.after(after).map(|exchange| exchange.number).collect()
    }

    #[test]
    fn the_last_exchanges_are_kept() {
        let mut log = Log::default();
        assert_eq!((log.last(), numbers(&log, 0)), (0, vec![]));
        for _ in 0..MAX_EXCHANGES + 3 {
            log.push(Head::default(), Bytes::new(), Bytes::new());
        }
        let last = MAX_EXCHANGES as u64 + 3;
        assert_eq!(log.last(), last);
        assert_eq!(numbers(&log, 0).len(), MAX_EXCHANGES);
        assert_eq!(numbers(&log, 2)[..2], [4, 5]);
        assert_eq!(numbers(&log, last - 2), [last - 1, last]);
        assert_eq!(numbers(&log, last), Vec::<u64>::new());
        assert_eq!(numbers(&log, u64::MAX), Vec::<u64>::new());
    }

    #[test]
    fn old_bodies_are_dropped_first() {
        let mut log = Log::default();
        let body = Bytes::from(vec![b'x'; MAX_BYTES / 8]);
        for _ in 0..6 {
            log.push(Head::default(), body.clone(), body.clone());
        }
        let kept: Vec<bool> = log.after(0).map(|exchange| exchange.request.is_some()).collect();
        assert_eq!(kept, [false, false, true, true, true, true]);
        assert!(log.after(0).all(|exchange| exchange.request.is_some() == exchange.response.is_some()));
        for _ in 0..MAX_EXCHANGES {
            log.push(Head::default(), Bytes::new(), Bytes::new());
        }
        assert_eq!((log.bytes, log.bare), (0, 0));
    }
}
