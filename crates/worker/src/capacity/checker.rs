//! The user's check of capacity, called so that it never delays the worker.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, Weak};
use std::time::Duration;

use rxon::TaskName;

use crate::threads::hook::Hook;
use crate::threads::lock;
use crate::threads::probe::{NoAnswer, Probe};

/// The user's function that decides whether one more task of this name can be taken.
pub(crate) type CapacityChecker = Hook<TaskName, bool>;

/// The time limit of the checker, for all tasks together: a heartbeat waits no longer, and reports the last answers.
const LIMIT: Duration = Duration::from_millis(250);

/// The tasks that the user's check refuses now.
///
/// One round of questions asks about every task. A check that never returns costs one thread, and is not asked again.
#[derive(Debug)]
pub(crate) struct Capacity {
    checker: Option<CapacityChecker>,
    rounds: Probe<()>,
    answers: Arc<Mutex<Answers>>,
    /// The number of times that an answer has changed.
    changes: Arc<AtomicU64>,
    logged_slow: Once,
    logged_no_thread: Once,
}

#[derive(Debug, Default)]
struct Answers {
    /// The tasks whose last answer was no. At first no task is refused.
    refused: BTreeSet<TaskName>,
    /// The tasks whose panics were logged.
    panicked: BTreeSet<TaskName>,
}

impl Capacity {
    /// Asks this checker, if there is one.
    pub(crate) fn new(checker: Option<CapacityChecker>) -> Self {
        Self {
            checker,
            rounds: Probe::new("avtomatika-capacity", LIMIT),
            answers: Arc::default(),
            changes: Arc::default(),
            logged_slow: Once::new(),
            logged_no_thread: Once::new(),
        }
    }

    /// Asks again about every task, by its name, and waits for the answers for at most 250 ms. A later answer counts as
    /// soon as it arrives. If a round is under way already, it is waited for until its own limit, and no other is begun.
    ///
    /// # Cancel safety
    /// The round goes on.
    pub(crate) async fn refresh(&self, names: impl FnOnce() -> Vec<TaskName>) {
        let Some(checker) = self.checker.clone() else { return };
        let (names, answers, changes) = (names(), Arc::downgrade(&self.answers), self.changes.clone());
        match self.rounds.ask(move || ask_all(&checker, &names, &answers, &changes)).await {
            Ok(()) | Err(NoAnswer::Panicked) => {}
            Err(NoAnswer::Late) => self.logged_slow.call_once(|| {
                tracing::warn!(
                    limit = ?LIMIT,
                    "`capacity_checker` is slow: heartbeats no longer wait for it, and report its last answers"
                );
            }),
            Err(NoAnswer::NoThread(error)) => self.logged_no_thread.call_once(|| {
                tracing::warn!(%error, "no thread for `capacity_checker`: its last answers count");
            }),
        }
    }

    /// Returns the tasks that are not refused.
    pub(crate) fn without_refused(&self, mut names: Vec<TaskName>) -> Vec<TaskName> {
        let answers = lock(&self.answers);
        names.retain(|name| !answers.refused.contains(name));
        names
    }

    /// The number of times that a task was refused or accepted again. Takes no lock.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// Asks about the tasks one by one, until the worker is dropped.
fn ask_all(
    checker: &CapacityChecker,
    names: &[TaskName],
    answers: &Weak<Mutex<Answers>>,
    changes: &AtomicU64,
) {
    for name in names {
        // Not held while the check runs: the worker may be dropped meanwhile.
        if answers.strong_count() == 0 {
            return;
        }
        let answer = checker.call(name);
        let Some(answers) = answers.upgrade() else { return };
        let first_panic = {
            let mut answers = lock(&answers);
            // A check that fails refuses nothing.
            let is_change = if matches!(answer, Ok(false)) {
                answers.refused.insert(name.clone())
            } else {
                answers.refused.remove(name)
            };
            changes.fetch_add(u64::from(is_change), Ordering::Release);
            answer.err().filter(|_| answers.panicked.insert(name.clone()))
        };
        // Without the lock, which heartbeats and polls take: a log may block.
        if let Some(panicked) = first_panic {
            tracing::warn!(task = %name, "{panicked}; the task counts as accepted, and this is not logged again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::sync::mpsc;

    use testkit::capture::Logs;
    use tokio::time::Instant;

    use super::*;

    /// Longer than any of these tests: only a check that hangs reaches it.
    const LONG: Duration = Duration::from_secs(60);

    fn names() -> Vec<TaskName> {
        ["a", "b", "c"].map(|name| TaskName::new(name).expect("a name")).to_vec()
    }

    fn capacity(limit: Duration, check: impl Fn(&TaskName) -> bool + Send + Sync + 'static) -> Capacity {
        let checker = CapacityChecker::new("capacity_checker", check);
        let rounds = Probe::new("avtomatika-capacity", limit);
        Capacity { rounds, ..Capacity::new(Some(checker)) }
    }

    fn accepted(capacity: &Capacity) -> Vec<String> {
        capacity.without_refused(names()).iter().map(TaskName::to_string).collect()
    }

    #[tokio::test]
    async fn without_a_checker_nothing_is_refused_and_no_thread_is_made() {
        let capacity = Capacity::new(None);
        capacity.refresh(names).await;
        assert_eq!(accepted(&capacity), ["a", "b", "c"]);
        assert_eq!(capacity.rounds.begun(), 0);
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
        assert_eq!(
            (accepted(&capacity).len(), capacity.changes()),
            (3, 0),
            "nothing is refused before it was asked"
        );
        for (accepted_now, changes) in [(vec!["a", "c"], 1), (vec!["a", "b", "c"], 2)] {
            capacity.refresh(names).await;
            assert_eq!(accepted(&capacity), accepted_now);
            assert_eq!(capacity.changes(), changes);
            let asked: Vec<_> = asked.try_iter().collect();
            let thread = Some("avtomatika-capacity".to_owned());
            assert_eq!(asked, ["a", "b", "c"].map(|name| (name.to_owned(), thread.clone())));
            open.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_panic_counts_as_accepted_and_is_logged_once_for_each_task() {
        let logs = Logs::new();
        let _guard = logs.start();
        let panics = Arc::new(AtomicBool::new(false));
        let broken = panics.clone();
        let capacity = capacity(LONG, move |name| {
            assert!(name.as_str() == "c" || !broken.load(Ordering::SeqCst), "no sensor");
            false
        });
        capacity.refresh(names).await;
        assert!(accepted(&capacity).is_empty());
        panics.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            capacity.refresh(names).await;
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
            // The second call hangs until the test releases it.
            name.as_str() != "b" || lock(&released).recv().is_ok_and(|()| false)
        });
        let began = Instant::now();
        tokio::join!(capacity.refresh(names), capacity.refresh(names));
        assert!(began.elapsed() >= limit);
        for _ in 0..1000 {
            capacity.refresh(names).await;
        }
        assert!(began.elapsed() < limit * 500, "only the first wait: {:?}", began.elapsed());
        assert_eq!((calls.load(Ordering::SeqCst), accepted(&capacity).len()), (2, 3));
        assert_eq!(logs.count("`capacity_checker` is slow"), 1, "{logs:?}");
        release.send(()).expect("it waits");
        capacity.rounds.ended().await;
        assert_eq!(accepted(&capacity), ["a", "c"], "a late answer counts too");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        drop(release);
        capacity.refresh(names).await;
        assert_eq!(calls.load(Ordering::SeqCst), 6, "asked again");
    }

    #[tokio::test]
    async fn a_round_goes_on_without_the_one_who_began_it_and_others_join_it() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let capacity = capacity(LONG, move |_| lock(&released).recv().is_err());
        assert!(tokio::time::timeout(Duration::from_millis(20), capacity.refresh(names)).await.is_err());
        let mut again = std::pin::pin!(capacity.refresh(names));
        // It joins the round under way.
        assert!(futures_util::poll!(&mut again).is_pending());
        drop(release);
        again.await;
        assert_eq!(capacity.rounds.begun(), 1, "the same round");
        assert_eq!(accepted(&capacity).len(), 3);
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_asks_nothing_more() {
        let (sender, asked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let capacity = capacity(LONG, move |name| {
            sender.send(name.to_string()).expect("the test waits");
            lock(&released).recv().is_err()
        });
        assert!(futures_util::poll!(Box::pin(capacity.refresh(names))).is_pending());
        assert_eq!(asked.recv().as_deref(), Ok("a"));
        drop(capacity);
        drop(release);
        // The sender is gone with the checker, which the thread was the last to hold.
        assert!(asked.recv().is_err());
    }
}
