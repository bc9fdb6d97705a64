//! Questions to something that may never answer: a driver, a disk, a function of the user.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use rxon::limit::within;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::threads::{lock, with_log_context};

/// Asks one question at a time, each on a thread of its own that ends with it. A question that never ends costs one
/// thread: it is not waited for beyond the limit, and no other is begun beside it.
#[derive(Debug)]
pub(crate) struct Probe<T: Clone> {
    /// The name of the threads.
    name: &'static str,
    /// The time limit of a question, from its beginning.
    limit: Duration,
    /// The last answer.
    last: Arc<Mutex<Option<T>>>,
    newest: Mutex<Option<Question<T>>>,
    #[cfg(test)]
    begun: std::sync::atomic::AtomicU64,
}

/// A question that was begun.
#[derive(Debug, Clone)]
struct Question<T: Clone> {
    began: Instant,
    /// Ends without an answer if the question panics.
    answer: Shared<oneshot::Receiver<T>>,
}

/// The reason why a question has no answer yet.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It was not answered within the limit. The answer counts as soon as it is there.
    Late,
    /// It panicked.
    Panicked,
    /// The operating system gave no thread.
    NoThread(std::io::Error),
}

impl<T: Clone + Send + 'static> Probe<T> {
    pub(crate) fn new(name: &'static str, limit: Duration) -> Self {
        Self {
            name,
            limit,
            last: Arc::default(),
            newest: Mutex::default(),
            #[cfg(test)]
            begun: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The last answer, however late it came. `None` before the first.
    pub(crate) fn last(&self) -> Option<T> {
        lock(&self.last).clone()
    }

    /// Asks, and waits for the answer for at most the limit. If a question is under way, it is waited for instead, until
    /// its own limit.
    ///
    /// # Errors
    /// [`NoAnswer`] if there is no answer yet; [`last`](Self::last) has the one before.
    ///
    /// # Cancel safety
    /// The question goes on.
    pub(crate) async fn ask(&self, question: impl FnOnce() -> T + Send + 'static) -> Result<T, NoAnswer> {
        let question = self.begin(question).map_err(NoAnswer::NoThread)?;
        let left = (question.began + self.limit).saturating_duration_since(Instant::now());
        // A process that did not run is no fault of the question.
        let answer = within(left, question.answer).await;
        answer.map_err(|_| NoAnswer::Late)?.map_err(|_| NoAnswer::Panicked)
    }

    /// Returns the question under way, or begins this one.
    fn begin(&self, question: impl FnOnce() -> T + Send + 'static) -> std::io::Result<Question<T>> {
        let mut newest = lock(&self.newest);
        if let Some(question) = &*newest
            && question.answer.clone().now_or_never().is_none()
        {
            return Ok(question.clone());
        }
        #[cfg(test)]
        self.begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let began = Instant::now();
        let (sender, answer) = oneshot::channel();
        let last = self.last.clone();
        let question = with_log_context(question);
        let run = move || {
            let answer = question();
            *lock(&last) = Some(answer.clone());
            let _ = sender.send(answer);
        };
        std::thread::Builder::new().name(self.name.to_owned()).spawn(run)?;
        let question = Question { began, answer: answer.shared() };
        Ok(newest.insert(question).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    impl<T: Clone> Probe<T> {
        /// The number of questions begun.
        pub(crate) fn begun(&self) -> u64 {
            self.begun.load(std::sync::atomic::Ordering::Relaxed)
        }

        /// Waits until the newest question has ended.
        pub(crate) async fn ended(&self) {
            let question = lock(&self.newest).clone().expect("a question was begun");
            let _ = question.answer.await;
        }
    }

    /// Longer than any of these tests: only a question that hangs reaches it.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn each_answer_is_new_and_comes_from_a_named_thread() {
        let probe = Probe::new("avtomatika-test", LONG);
        assert_eq!(probe.last(), None);
        for number in 1..=3 {
            let answer = probe.ask(move || (number, std::thread::current().name().map(str::to_owned))).await;
            let expected = (number, Some("avtomatika-test".to_owned()));
            assert_eq!(answer.expect("an answer"), expected);
            assert_eq!(probe.last(), Some(expected));
        }
        assert_eq!(probe.begun(), 3);
    }

    #[tokio::test]
    async fn a_question_that_hangs_costs_one_thread_and_one_wait_and_its_answer_counts_when_it_comes() {
        let mut probe = Probe::new("avtomatika-test", LONG);
        probe.ask(|| 1).await.expect("an answer");
        probe.limit = Duration::from_millis(20);
        let (release, released) = mpsc::channel::<()>();
        let hangs = move || released.recv().map_or(0, |()| 2);
        assert!(matches!(probe.ask(hangs).await, Err(NoAnswer::Late)));
        for _ in 0..1000 {
            assert!(matches!(probe.ask(|| 3).await, Err(NoAnswer::Late)));
        }
        assert_eq!((probe.begun(), probe.last()), (2, Some(1)));
        release.send(()).expect("it waits");
        probe.ended().await;
        assert_eq!(probe.last(), Some(2));
        probe.limit = LONG;
        assert_eq!(probe.ask(|| 3).await.expect("the next may begin"), 3);
    }

    #[tokio::test]
    async fn a_question_goes_on_without_the_one_who_asked_and_others_join_it() {
        let probe = Probe::new("avtomatika-test", LONG);
        let (release, released) = mpsc::channel::<()>();
        let asked = probe.ask(move || released.recv().map_or(0, |()| 1));
        assert!(tokio::time::timeout(Duration::from_millis(20), asked).await.is_err());
        let mut joined = std::pin::pin!(probe.ask(|| 2));
        assert!(futures_util::poll!(&mut joined).is_pending());
        release.send(()).expect("it waits");
        assert_eq!(joined.await.expect("an answer"), 1);
        assert_eq!(probe.begun(), 1);
    }

    #[tokio::test]
    async fn a_question_that_panics_has_no_answer_and_the_next_may_begin() {
        let probe = Probe::new("avtomatika-test", LONG);
        assert_eq!(probe.ask(|| 1).await.expect("an answer"), 1);
        assert!(matches!(probe.ask(|| panic!("boom")).await, Err(NoAnswer::Panicked)));
        assert_eq!(probe.last(), Some(1));
        assert_eq!(probe.ask(|| 2).await.expect("an answer"), 2);
    }
}
