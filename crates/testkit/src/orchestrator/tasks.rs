//! The offered tasks, and the polls that wait for one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

type Source = Box<dyn FnMut() -> Option<Bytes> + Send>;

/// A queue of tasks and a queue of waiting polls; one of the two is always empty.
pub(crate) struct Tasks {
    state: Mutex<TaskQueue>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct TaskQueue {
    ready: VecDeque<Bytes>,
    waiting: VecDeque<oneshot::Sender<Bytes>>,
    /// Makes tasks on demand if none is ready.
    source: Option<Source>,
    /// The number of held polls.
    open: usize,
    /// True if an abandoned poll keeps waiting and takes a task, which is lost.
    swallow: bool,
    /// The abandoned polls, with the end of their hold.
    dead: Vec<(Instant, oneshot::Receiver<Bytes>)>,
}

/// The answer to a poll.
pub(crate) enum Offer {
    /// A task that is ready.
    Task(Bytes),
    /// No task yet: a place in the queue.
    Wait(Ticket),
}

/// The place of a held poll in the queue. A task that reaches a dropped ticket goes to the next poll.
pub(crate) struct Ticket {
    tasks: Arc<Tasks>,
    /// `None` once the poll is settled.
    receiver: Option<oneshot::Receiver<Bytes>>,
    /// The end of the hold.
    until: Instant,
}

impl Tasks {
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self { state: Mutex::default(), changed }
    }

    /// Gives a task to the poll that has waited longest, or keeps it for the next.
    pub(crate) fn push(&self, task: Bytes) {
        let mut state = self.lock();
        if let Some(task) = state.hand_over(task) {
            state.ready.push_back(task);
        }
    }

    /// Takes the next task, or a place in the queue until `until`.
    pub(crate) fn next(self: &Arc<Self>, until: Instant) -> Offer {
        let mut state = self.lock();
        let made = state.ready.pop_front().or_else(|| state.source.as_mut().and_then(|source| source()));
        if let Some(task) = made {
            return Offer::Task(task);
        }
        // All holds are equally long, so those that have ended are at the front of the queue.
        while state.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            state.waiting.pop_front();
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        state.open += 1;
        drop(state);
        self.changed.notify_waiters();
        Offer::Wait(Ticket { tasks: self.clone(), receiver: Some(receiver), until })
    }

    pub(crate) fn set_source(&self, source: Source) {
        self.lock().source = Some(source);
    }

    pub(crate) fn set_swallow(&self, swallow: bool) {
        self.lock().swallow = swallow;
    }

    pub(crate) fn open(&self) -> usize {
        self.lock().open
    }

    pub(crate) fn ready(&self) -> usize {
        self.lock().ready.len()
    }

    fn lock(&self) -> MutexGuard<'_, TaskQueue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskQueue {
    /// Offers the task to the waiting polls in turn; returns it if no poll takes it.
    fn hand_over(&mut self, mut task: Bytes) -> Option<Bytes> {
        let now = Instant::now();
        // An abandoned poll whose hold has ended takes no task: dropping its receiver closes its place in the queue.
        self.dead.retain(|(until, _)| *until > now);
        while let Some(poll) = self.waiting.pop_front() {
            match poll.send(task) {
                Ok(()) => return None,
                Err(back) => task = back,
            }
        }
        Some(task)
    }
}

impl Ticket {
    /// Waits for a task.
    pub(crate) async fn task(&mut self) -> Option<Bytes> {
        let task = self.receiver.as_mut()?.await.ok();
        self.receiver = None;
        task
    }

    /// Ends the hold; returns a task that arrived at the last moment, if any.
    pub(crate) fn finish(mut self) -> Option<Bytes> {
        let mut receiver = self.receiver.take()?;
        receiver.close();
        receiver.try_recv().ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.tasks.lock();
        state.open -= 1;
        if let Some(mut receiver) = self.receiver.take() {
            if state.swallow {
                state.dead.push((self.until, receiver));
            } else {
                receiver.close();
                if let Some(task) = receiver.try_recv().ok().and_then(|task| state.hand_over(task)) {
                    state.ready.push_front(task);
                }
            }
        }
        drop(state);
        self.tasks.changed.notify_waiters();
    }
}
