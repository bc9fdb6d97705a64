//! The results handed in during the last minutes, for tasks that are dispatched twice.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::time::Duration;

use bytes::Bytes;
use foldhash::HashMap;
use rxon::TaskId;
use tokio::time::Instant;

/// How long a result is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Results whose time ends within this are forgotten together.
const BATCH: Duration = Duration::from_secs(60);

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
        Self { results: HashMap::default(), order: VecDeque::new(), bytes: 0, sharers }
    }

    pub(crate) fn remember(&mut self, task_id: TaskId, body: Bytes, now: Instant) {
        self.bytes += body.len();
        self.order.push_back((task_id.clone(), now));
        if let Some((old, _)) = self.results.insert(task_id, (Seen { body, acknowledged: false }, now)) {
            self.bytes -= old.body.len();
        }
        while self.results.len() > MAX_RESULTS / self.sharers || self.bytes > MAX_BYTES / self.sharers {
            self.forget_oldest();
        }
        self.forget_old(now);
    }

    /// Forgets the results that were remembered for long enough.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, at)| now.duration_since(*at) >= REMEMBERED) {
            self.forget_oldest();
        }
    }

    /// The time at which results are worth forgetting: some at once, so that an idle worker is not woken for each.
    pub(crate) fn forgets_at(&self) -> Option<Instant> {
        self.order.front().map(|(_, at)| *at + REMEMBERED + BATCH)
    }

    fn forget_oldest(&mut self) {
        let Some((oldest, at)) = self.order.pop_front() else { return };
        // A result that was remembered anew stands further back in the line too.
        if let Entry::Occupied(result) = self.results.entry(oldest)
            && result.get().1 == at
        {
            let (seen, _) = result.remove();
            self.bytes -= seen.body.len();
        }
        if self.order.is_empty() {
            (self.results, self.order) = Default::default();
        }
    }

    pub(crate) fn acknowledge(&mut self, task_id: &TaskId) {
        if let Some((seen, _)) = self.results.get_mut(task_id) {
            seen.acknowledged = true;
        }
    }

    /// Asks for the time only if there is such a result: each new task is looked for.
    pub(crate) fn find(&self, task_id: &TaskId, now: impl FnOnce() -> Instant) -> Option<Seen> {
        let (seen, at) = self.results.get(task_id)?;
        (now().duration_since(*at) < REMEMBERED).then(|| seen.clone())
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
        assert!(recent.find(&task(1), || now + REMEMBERED - Duration::from_secs(1)).is_some());
        assert!(recent.find(&task(1), || now + REMEMBERED).is_none());
        recent.acknowledge(&task(1));
        assert!(recent.find(&task(1), || now).expect("remembered").acknowledged);
    }

    #[test]
    fn neither_number_nor_size_grows_without_bound() {
        let (mut recent, now) = (Recent::new(1), Instant::now());
        for number in 0..MAX_RESULTS + 5 {
            recent.remember(task(number), Bytes::from_static(b"x"), now);
        }
        assert_eq!((recent.results.len(), recent.order.len()), (MAX_RESULTS, MAX_RESULTS));
        assert!(recent.find(&task(4), || now).is_none() && recent.find(&task(5), || now).is_some());
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
        assert!(recent.find(&task(1), || now + REMEMBERED).is_some());
    }

    #[test]
    fn memory_is_given_back_without_another_result() {
        let (mut recent, now) = (Recent::new(1), Instant::now());
        assert_eq!(recent.forgets_at(), None);
        for second in [0, 30, 59, 300] {
            recent.remember(task(second), Bytes::from_static(b"x"), now + Duration::from_secs(second as u64));
        }
        let at = recent.forgets_at().expect("some are remembered");
        recent.forget_old(at);
        assert_eq!((recent.results.len(), recent.order.len(), recent.bytes), (1, 1, 1), "three at once");
        recent.forget_old(recent.forgets_at().expect("one is left"));
        assert_eq!((recent.results.capacity(), recent.order.capacity(), recent.forgets_at()), (0, 0, None));
    }
}
