//! The log of exchanges: bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::exchange::{Exchange, Head};

/// The number of exchanges that are kept.
pub(super) const MAX_EXCHANGES: usize = 10_000;

/// The bytes of all exchanges that are kept; the oldest bodies are dropped first.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The bytes of everything but the bodies; the oldest exchanges are dropped first. Only exchanges with headers that are
/// many times larger than usual have so many.
const MAX_HEAD_BYTES: usize = MAX_BYTES / 2;

/// The last exchanges, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    exchanges: VecDeque<Exchange>,
    /// The number of the last exchange; the first is 1.
    last: u64,
    /// The bytes of the bodies.
    body_bytes: usize,
    /// The bytes of everything else.
    head_bytes: usize,
    /// The number of exchanges at the front whose bodies were dropped.
    bare: usize,
}

impl Log {
    pub(super) fn push(&mut self, head: Head, request: Bytes, response: Bytes) {
        self.last += 1;
        let exchange = Exchange {
            number: self.last,
            head: Arc::new(head),
            request: Some(request),
            response: Some(response),
        };
        self.body_bytes += exchange.body_bytes();
        self.head_bytes += exchange.head.bytes();
        self.exchanges.push_back(exchange);
        while self.exchanges.len() > MAX_EXCHANGES || self.head_bytes > MAX_HEAD_BYTES {
            let Some(oldest) = self.exchanges.pop_front() else { break };
            self.body_bytes -= oldest.body_bytes();
            self.head_bytes -= oldest.head.bytes();
            self.bare = self.bare.saturating_sub(1);
        }
        while self.body_bytes + self.head_bytes > MAX_BYTES
            && let Some(oldest) = self.exchanges.get_mut(self.bare)
        {
            self.body_bytes -= oldest.body_bytes();
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
        // The heads need some of the room for the fourth.
        assert_eq!(kept, [false, false, false, true, true, true]);
        assert!(log.after(0).all(|exchange| exchange.request.is_some() == exchange.response.is_some()));
        for _ in 0..MAX_EXCHANGES {
            log.push(Head::default(), Bytes::new(), Bytes::new());
        }
        assert_eq!((log.body_bytes, log.bare), (0, 0));
    }

    #[test]
    fn large_heads_count() {
        let mut log = Log::default();
        let body = Bytes::from(vec![b'x'; 1024]);
        for _ in 0..MAX_EXCHANGES {
            let head = Head { path: "x".repeat(16 * 1024).into(), ..Head::default() };
            log.push(head, body.clone(), body.clone());
        }
        assert_eq!(log.last(), MAX_EXCHANGES as u64);
        let kept = numbers(&log, 0);
        assert!(kept.len() > 1000 && kept.len() < MAX_HEAD_BYTES / (16 * 1024), "{}", kept.len());
        assert_eq!(kept.last(), Some(&log.last()));
        let bytes: usize = log.after(0).map(|exchange| exchange.head.bytes() + exchange.body_bytes()).sum();
        assert_eq!(bytes, log.head_bytes + log.body_bytes);
        assert!(bytes <= MAX_BYTES);
    }
}
