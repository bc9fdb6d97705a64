//! The requests received so far.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::endpoint::Endpoint;
use super::recorded::Recorded;

/// The number of the latest requests of an endpoint that a failure message shows.
const SHOWN: usize = 5;

/// Counts every request, and keeps it if recording is on.
pub(crate) struct Ledger {
    arrivals: [Arrivals; Endpoint::ALL.len()],
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Arrivals {
    count: AtomicUsize,
    requests: Mutex<Vec<Arc<Recorded>>>,
}

impl Ledger {
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self { arrivals: std::array::from_fn(|_| Arrivals::default()), changed }
    }

    /// Counts a request, and keeps it if it was recorded.
    pub(crate) fn note(&self, endpoint: Endpoint, request: Option<Arc<Recorded>>) {
        let arrivals = self.arrivals(endpoint);
        if let Some(request) = request {
            arrivals.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        }
        arrivals.count.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        self.arrivals(endpoint).count.load(Ordering::Acquire)
    }

    /// The kept requests, from number `start` (counted from 0).
    pub(crate) fn since(&self, endpoint: Endpoint, start: usize) -> Vec<Arc<Recorded>> {
        let requests = self.arrivals(endpoint).requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.get(start..).unwrap_or_default().to_vec()
    }

    /// A summary of all requests, for the message of a test whose wait failed.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        for endpoint in Endpoint::ALL {
            let count = self.count(endpoint);
            if count == 0 {
                continue;
            }
            let _ = writeln!(text, "  {endpoint:?}: {count}");
            for request in self.since(endpoint, count.saturating_sub(SHOWN)) {
                let _ = writeln!(text, "    {}", request.summary());
            }
        }
        if text.is_empty() { "  no request at all\n".to_owned() } else { text }
    }

    fn arrivals(&self, endpoint: Endpoint) -> &Arrivals {
        &self.arrivals[endpoint as usize]
    }
}
