//! The results handed in during the last minutes, for tasks that are dispatched twice.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rxon::TaskId;
use tokio::time::Instant;

/// How long a result is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The maximum number of remembered results.
const MAX_RESULTS: usize = 10_000;

/// The maximum size of remembered results in bytes.
const MAX_BYTES: usize = 64 << 20;

/// A task that ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The result, not sealed.
    pub(crate) body: Bytes,
    /// Whether an orchestrator has acknowledged it.
    pub(crate) acknowledged: bool,
}

/// The results of the last ten minutes, as far as they fit.
#[derive(Debug)]
pub(crate) struct Recent {
    results: HashMap<TaskId, (Seen, Instant)>,
    order: VecDeque<(TaskId, Instant)>,
    bytes: usize,
    /// The number of orchestrators that share the limits.
    sharers: usize,
}

impl Recent {
    /// For one of `sharers` orchestrators that share the limits.
    pub(crate) fn new(sharers: usize) -> Self {
        Self { results: HashMap::new(), order: VecDeque::new(), bytes: 0, sharers }
    }

    pub(crate) fn remember(&mut self, task_id: TaskId, body: Bytes, now: Instant) {
        self.bytes += body.len();
        self.order.push_back((task_id.clone(), now));
        if let Some((old, _)) = self.results.insert(task_id, (Seen { body, acknowledged: false }, now)) {
            self.bytes -= old.body.len();
        }
        while let Some((oldest, at)) = self.order.front()
            && (self.results.len() > MAX_RESULTS / self.sharers
                || self.bytes > MAX_BYTES / self.sharers
                || now.duration_since(*at) >= REMEMBERED)
        {
            // A result that was remembered anew stands further back in the line too.
            if self.results.get(oldest).is_some_and(|(_, remembered)| remembered == at)
                && let Some((seen, _)) = self.results.remove(oldest)
            {
                self.bytes -= seen.body.len();
            }
            self.order.pop_front();
        }
    }

    pub(crate) fn acknowledge(&mut self, task_id: &TaskId) {
        if let Some((seen, _)) = self.results.get_mut(task_id) {
            seen.acknowledged = true;
        }
    }

    pub(crate) fn find(&self, task_id: &TaskId, now: Instant) -> Option<Seen> {
        let (seen, at) = self.results.get(task_id)?;
        (now.duration_since(*at) < REMEMBERED).then(|| seen.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: usize) -> TaskId {
        TaskId::received(number.to_string()).expect("not empty")
    }

    #[test]
    fn results_are_remembered_for_ten_minutes() {
        let (mut recent, now) = (Recent::new(1), Instant::now());
        recent.remember(task(1), Bytes::from_static(b"x"), now);
        assert!(recent.find(&task(1), now + REMEMBERED - Duration::from_secs(1)).is_some());
        assert!(recent.find(&task(1), now + REMEMBERED).is_none());
        recent.acknowledge(&task(1));
        assert!(recent.find(&task(1), now).expect("remembered").acknowledged);
    }

    #[test]
    fn neither_number_nor_size_grows_without_bound() {
        let (mut recent, now) = (Recent::new(1), Instant::now());
        for number in 0..MAX_RESULTS + 5 {
            recent.remember(task(number), Bytes::from_static(b"x"), now);
        }
        assert_eq!((recent.results.len(), recent.order.len()), (MAX_RESULTS, MAX_RESULTS));
        assert!(recent.find(&task(4), now).is_none() && recent.find(&task(5), now).is_some());
        recent.remember(task(0), Bytes::from(vec![0; MAX_BYTES]), now);
        assert_eq!((recent.results.len(), recent.bytes), (1, MAX_BYTES));
    }

    #[test]
    fn a_result_remembered_twice_counts_once() {
        let (mut recent, now) = (Recent::new(1), Instant::now());
        recent.remember(task(1), Bytes::from_static(b"xx"), now);
        recent.remember(task(1), Bytes::from_static(b"y"), now + Duration::from_secs(1));
        assert_eq!(recent.bytes, 1);
        recent.remember(task(2), Bytes::new(), now + REMEMBERED);
        assert!(recent.find(&task(1), now + REMEMBERED).is_some());
    }
}
