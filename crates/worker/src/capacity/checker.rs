//! What the user's own check of capacity says, asked so that it can hold nothing up.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::time::Duration;

use rxon::TaskName;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::threads::lock;
use crate::threads::panic_message;

/// Whether one more task of this name can be taken.
#[derive(Clone)]
pub(crate) struct CapacityChecker(Arc<dyn Fn(&TaskName) -> bool + Send + Sync>);

impl CapacityChecker {
    pub(crate) fn new(check: impl Fn(&TaskName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl fmt::Debug for CapacityChecker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CapacityChecker")
    }
}

/// What is about to be told waits this long for the checker, all tasks together; then its last answers count.
const LIMIT: Duration = Duration::from_millis(250);

/// The tasks that the user's check refuses now.
///
/// A round of questions runs on a thread of its own, which ends with it: a check that never returns costs one thread,
/// and is not asked again.
pub(crate) struct Capacity {
    checker: Option<CapacityChecker>,
    names: Arc<[TaskName]>,
    limit: Duration,
    shared: Arc<Shared>,
    said_slow: Once,
    said_no_thread: Once,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// How many rounds have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// The last answers that are known. At first nothing is refused.
    refused: BTreeSet<TaskName>,
    /// Those that were said to panic.
    panicked: BTreeSet<TaskName>,
    /// How many rounds were begun.
    begun: u64,
    /// When the one began that is under way.
    under_way: Option<Instant>,
    /// The worker is gone: no further question.
    closed: bool,
}

impl fmt::Debug for Capacity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Capacity").field("refused", &self.lock().refused).finish_non_exhaustive()
    }
}

impl Capacity {
    /// Asks this checker, if there is one, about these tasks.
    pub(crate) fn new(checker: Option<CapacityChecker>, names: impl Iterator<Item = TaskName>) -> Self {
        Self::with_limit(checker, names, LIMIT)
    }

    fn with_limit(
        checker: Option<CapacityChecker>,
        names: impl Iterator<Item = TaskName>,
        limit: Duration,
    ) -> Self {
        Self {
            checker,
            names: names.collect(),
            limit,
            shared: Arc::default(),
            said_slow: Once::new(),
            said_no_thread: Once::new(),
        }
    }

    /// Asks anew about every task, and waits for the answers for at most 250 ms. Answers that come later count as soon
    /// as they are there. A round that is under way already is waited for until its own limit, and no other begun.
    ///
    /// # Cancel safety
    /// The round goes on.
    pub(crate) async fn refresh(&self) {
        let Some(checker) = &self.checker else { return };
        let Some((round, began)) = self.begin(checker) else { return };
        let mut ended = self.shared.ended.subscribe();
        let answered = ended.wait_for(|ended| *ended >= round);
        if tokio::time::timeout_at(began + self.limit, answered).await.is_err() {
            self.said_slow.call_once(|| {
                tracing::warn!(
                    limit = ?self.limit,
                    "`capacity_checker` is slow: heartbeats do not wait for it any longer, and tell its last answers"
                );
            });
        }
    }

    /// Without the tasks that are refused.
    pub(crate) fn without_refused(&self, mut names: Vec<TaskName>) -> Vec<TaskName> {
        if self.checker.is_some() {
            let state = self.lock();
            names.retain(|name| !state.refused.contains(name));
        }
        names
    }

    /// Whether any task is refused.
    pub(crate) fn refuses_any(&self) -> bool {
        self.checker.is_some() && !self.lock().refused.is_empty()
    }

    /// The round that is under way, or a new one, and when it began. None when there is no thread for it.
    fn begin(&self, checker: &CapacityChecker) -> Option<(u64, Instant)> {
        let mut state = self.lock();
        if let Some(began) = state.under_way {
            return Some((state.begun, began));
        }
        let round = Round { checker: checker.clone(), shared: self.shared.clone() };
        let names = self.names.clone();
        // What the checker logs goes where the worker's own lines go.
        let log = tracing::dispatcher::get_default(Clone::clone);
        let run = move || tracing::dispatcher::with_default(&log, || round.ask(&names));
        let began = Instant::now();
        state.begun += 1;
        state.under_way = Some(began);
        let number = state.begun;
        drop(state);
        match std::thread::Builder::new().name("avtomatika-capacity".to_owned()).spawn(run) {
            Ok(_) => Some((number, began)),
            // The round was dropped with what should have run it, and has ended thereby.
            Err(error) => {
                self.said_no_thread.call_once(|| {
                    tracing::warn!(%error, "no thread for `capacity_checker`: its last answers count");
                });
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

impl Drop for Capacity {
    fn drop(&mut self) {
        self.lock().closed = true;
    }
}

/// One round of questions. However it ends, the next may begin.
struct Round {
    checker: CapacityChecker,
    shared: Arc<Shared>,
}

impl Round {
    fn ask(self, names: &[TaskName]) {
        for name in names {
            if lock(&self.shared.state).closed {
                return;
            }
            let answer = catch_unwind(AssertUnwindSafe(|| (self.checker.0)(name)));
            let accepted = answer.unwrap_or_else(|payload| self.panicked(name, &*payload));
            let refused = &mut lock(&self.shared.state).refused;
            if accepted {
                refused.remove(name);
            } else {
                refused.insert(name.clone());
            }
        }
    }

    /// A check that fails refuses nothing.
    fn panicked(&self, name: &TaskName, payload: &(dyn Any + Send)) -> bool {
        let is_first = lock(&self.shared.state).panicked.insert(name.clone());
        if is_first {
            tracing::warn!(
                task = %name,
                "`capacity_checker` panicked: {}; the task counts as accepted, and this is not said again",
                panic_message(payload)
            );
        }
        true
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        lock(&self.shared.state).under_way = None;
        self.shared.ended.send_modify(|ended| *ended += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    use testkit::capture::Logs;

    use super::*;

    /// Longer than any of these tests: only what hangs meets it.
    const LONG: Duration = Duration::from_secs(60);

    fn names() -> Vec<TaskName> {
        ["a", "b", "c"].map(|name| TaskName::new(name).expect("a name")).to_vec()
    }

    fn capacity(limit: Duration, check: impl Fn(&TaskName) -> bool + Send + Sync + 'static) -> Capacity {
        Capacity::with_limit(Some(CapacityChecker::new(check)), names().into_iter(), limit)
    }

    fn accepted(capacity: &Capacity) -> Vec<String> {
        capacity.without_refused(names()).iter().map(TaskName::to_string).collect()
    }

    #[tokio::test]
    async fn without_a_checker_nothing_is_refused_and_no_thread_is_made() {
        let capacity = Capacity::new(None, names().into_iter());
        capacity.refresh().await;
        assert_eq!(accepted(&capacity), ["a", "b", "c"]);
        assert_eq!(capacity.lock().begun, 0);
    }

    #[tokio::test]
    async fn each_round_asks_once_about_every_task_on_a_thread_of_its_own() {
        let (sender, asked) = mpsc::channel();
        let open = Arc::new(AtomicBool::new(false));
        let opened = open.clone();
        let capacity = capacity(LONG, move |name| {
            let thread = std::thread::current().name().map(str::to_owned);
            sender.send((name.to_string(), thread)).expect("the test waits");
            name.as_str() != "b" || opened.load(Ordering::SeqCst)
        });
        assert!(!capacity.refuses_any(), "nothing is refused before it was asked");
        for accepted_now in [vec!["a", "c"], vec!["a", "b", "c"]] {
            capacity.refresh().await;
            assert_eq!(accepted(&capacity), accepted_now);
            assert_eq!(capacity.refuses_any(), accepted_now.len() < 3);
            let asked: Vec<_> = asked.try_iter().collect();
            let thread = Some("avtomatika-capacity".to_owned());
            assert_eq!(asked, ["a", "b", "c"].map(|name| (name.to_owned(), thread.clone())));
            open.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_panic_counts_as_accepted_and_is_said_once_for_each_task() {
        let logs = Logs::new();
        let _guard = logs.start();
        let panics = Arc::new(AtomicBool::new(false));
        let broken = panics.clone();
        let capacity = capacity(LONG, move |name| {
            assert!(name.as_str() == "c" || !broken.load(Ordering::SeqCst), "no sensor");
            false
        });
        capacity.refresh().await;
        assert!(accepted(&capacity).is_empty());
        panics.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            capacity.refresh().await;
            assert_eq!(accepted(&capacity), ["a", "b"]);
        }
        assert_eq!((logs.count("no sensor"), logs.count("WARN")), (2, 2), "{logs:?}");
    }

    #[tokio::test]
    async fn a_checker_that_hangs_is_waited_for_once_and_asked_once() {
        let logs = Logs::new();
        let _guard = logs.start();
        let calls = Arc::new(AtomicUsize::new(0));
        let (release, released) = mpsc::channel::<()>();
        let (counted, released) = (calls.clone(), Mutex::new(released));
        let limit = Duration::from_millis(100);
        let capacity = capacity(limit, move |name| {
            counted.fetch_add(1, Ordering::SeqCst);
            // The second hangs until the test lets it go.
            name.as_str() != "b" || lock(&released).recv().is_ok_and(|()| false)
        });
        let began = Instant::now();
        tokio::join!(capacity.refresh(), capacity.refresh());
        assert!(began.elapsed() >= limit);
        for _ in 0..1000 {
            capacity.refresh().await;
        }
        assert!(began.elapsed() < limit * 500, "only the first wait: {:?}", began.elapsed());
        assert_eq!((calls.load(Ordering::SeqCst), accepted(&capacity).len()), (2, 3));
        assert_eq!(logs.count("`capacity_checker` is slow"), 1, "{logs:?}");
        let mut ended = capacity.shared.ended.subscribe();
        release.send(()).expect("it waits");
        ended.wait_for(|ended| *ended == 1).await.expect("it lives");
        assert_eq!(accepted(&capacity), ["a", "c"], "a late answer counts, too");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        drop(release);
        capacity.refresh().await;
        assert_eq!(calls.load(Ordering::SeqCst), 6, "asked anew");
    }

    #[tokio::test]
    async fn who_is_given_up_while_it_waits_leaves_a_round_that_others_find() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let capacity = capacity(LONG, move |_| lock(&released).recv().is_err());
        assert!(tokio::time::timeout(Duration::from_millis(20), capacity.refresh()).await.is_err());
        let mut again = std::pin::pin!(capacity.refresh());
        // It joins the round while that goes on.
        assert!(futures_util::poll!(&mut again).is_pending());
        drop(release);
        again.await;
        assert_eq!(capacity.lock().begun, 1, "the same round");
        assert_eq!(accepted(&capacity).len(), 3);
    }

    #[test]
    fn a_worker_that_is_gone_asks_nothing_more() {
        let (sender, asked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let capacity = capacity(LONG, move |name| {
            sender.send(name.to_string()).expect("the test waits");
            lock(&released).recv().is_err()
        });
        let checker = capacity.checker.clone().expect("one");
        capacity.begin(&checker).expect("a thread");
        drop(checker);
        assert_eq!(asked.recv().as_deref(), Ok("a"));
        drop(capacity);
        drop(release);
        // The sender is gone with the checker, which the thread was the last to hold.
        assert!(asked.recv().is_err());
    }
}
