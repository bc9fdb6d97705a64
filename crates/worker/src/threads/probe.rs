//! Questions to something that may never answer: a driver, a disk, a function of the user's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::threads::lock;

/// Asks one question at a time, each on a thread of its own that ends with it. A question that never ends costs one
/// thread: it is not waited for beyond the limit, and no other is begun beside it.
#[derive(Debug)]
pub(crate) struct Probe<T> {
    /// The name of the threads.
    name: &'static str,
    /// The time limit of a question, from its beginning.
    limit: Duration,
    questions: Arc<Questions<T>>,
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

#[derive(Debug)]
struct Questions<T> {
    state: Mutex<QuestionState<T>>,
    /// The number of questions that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug)]
struct QuestionState<T> {
    /// The last answer, and the number of its question.
    answer: Option<(u64, T)>,
    /// The number of questions begun.
    begun: u64,
    /// When the question under way began.
    under_way: Option<Instant>,
}

impl<T: Clone + Send + 'static> Probe<T> {
    pub(crate) fn new(name: &'static str, limit: Duration) -> Self {
        let state = Mutex::new(QuestionState { answer: None, begun: 0, under_way: None });
        Self { name, limit, questions: Arc::new(Questions { state, ended: watch::Sender::new(0) }) }
    }

    /// The time limit of a question.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The last answer, however late it came. `None` before the first.
    pub(crate) fn last(&self) -> Option<T> {
        lock(&self.questions.state).answer.as_ref().map(|(_, answer)| answer.clone())
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
        let mut ended = self.questions.ended.subscribe();
        let (number, began) = self.begin(question)?;
        let answered = ended.wait_for(|ended| *ended >= number);
        if tokio::time::timeout_at(began + self.limit, answered).await.is_err() {
            return Err(NoAnswer::Late);
        }
        match &lock(&self.questions.state).answer {
            Some((answered, answer)) if *answered >= number => Ok(answer.clone()),
            _ => Err(NoAnswer::Panicked),
        }
    }

    /// Returns the number of the question under way, or of a new one, and when it began.
    fn begin(&self, question: impl FnOnce() -> T + Send + 'static) -> Result<(u64, Instant), NoAnswer> {
        let mut state = lock(&self.questions.state);
        if let Some(began) = state.under_way {
            return Ok((state.begun, began));
        }
        let began = Instant::now();
        state.begun += 1;
        state.under_way = Some(began);
        let number = state.begun;
        drop(state);
        let guard = QuestionGuard { number, questions: self.questions.clone() };
        // Log lines of the question go where the worker's own lines go.
        let log = tracing::dispatcher::get_default(Clone::clone);
        let run = move || tracing::dispatcher::with_default(&log, || guard.answer(question()));
        // Without a thread the guard is dropped with the closure, which ends the question.
        let thread = std::thread::Builder::new().name(self.name.to_owned()).spawn(run);
        thread.map(|_| (number, began)).map_err(NoAnswer::NoThread)
    }

    /// The number of questions begun.
    #[cfg(test)]
    pub(crate) fn begun(&self) -> u64 {
        lock(&self.questions.state).begun
    }

    /// Waits until this many questions have ended.
    #[cfg(test)]
    pub(crate) async fn ended(&self, count: u64) {
        self.questions.ended.subscribe().wait_for(|ended| *ended >= count).await.expect("the sender lives");
    }
}

/// The question under way. However it ends, the next may begin.
struct QuestionGuard<T> {
    number: u64,
    questions: Arc<Questions<T>>,
}

impl<T> QuestionGuard<T> {
    fn answer(self, answer: T) {
        lock(&self.questions.state).answer = Some((self.number, answer));
    }
}

impl<T> Drop for QuestionGuard<T> {
    fn drop(&mut self) {
        lock(&self.questions.state).under_way = None;
        self.questions.ended.send_modify(|ended| *ended += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

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
        let limit = Duration::from_millis(20);
        let probe = Probe::new("avtomatika-test", limit);
        probe.ask(|| 1).await.expect("an answer");
        let (release, released) = mpsc::channel::<()>();
        let hangs = move || released.recv().map_or(0, |()| 2);
        assert!(matches!(probe.ask(hangs).await, Err(NoAnswer::Late)));
        for _ in 0..1000 {
            assert!(matches!(probe.ask(|| 3).await, Err(NoAnswer::Late)));
        }
        assert_eq!((probe.begun(), probe.last()), (2, Some(1)));
        release.send(()).expect("it waits");
        probe.ended(2).await;
        assert_eq!(probe.last(), Some(2));
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
