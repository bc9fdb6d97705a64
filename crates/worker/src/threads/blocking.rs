//! Threads for blocking handlers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::threads::hook::caught;
use crate::threads::lock;

type Job = Box<dyn FnOnce() + Send>;

/// The time after which an idle thread ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Named threads, made on demand up to the number of slots. They are never joined: a handler that does not end must not
/// hold up the end of the worker.
pub(crate) struct BlockingThreads {
    pool: Arc<ThreadPool>,
    limit: usize,
}

#[derive(Default)]
struct ThreadPool {
    state: Mutex<PoolState>,
    work: Condvar,
}

#[derive(Default)]
struct PoolState {
    /// The waiting jobs: at most one for each slot.
    jobs: VecDeque<Job>,
    /// The number of threads that wait for a job.
    idle: usize,
    /// The number of live threads.
    threads: usize,
    /// The number of threads ever made, for their names.
    made: usize,
    closed: bool,
}

/// The reason why a function on a thread did not return.
#[derive(Debug)]
pub(crate) enum ThreadError {
    /// The function panicked with this message.
    Panicked(String),
    /// The operating system gave no thread.
    Unavailable(std::io::Error),
}

impl fmt::Debug for BlockingThreads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlockingThreads").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl ThreadPool {
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A value that the handler leaves behind can panic when it is dropped: the thread must survive that.
                let _ = caught(job);
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let woken = self.work.wait_timeout(state, IDLE_LIMIT);
            let (woken, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl BlockingThreads {
    pub(crate) fn new(limit: usize) -> Self {
        Self { pool: Arc::default(), limit }
    }

    /// Runs a function on a thread.
    ///
    /// # Errors
    /// [`ThreadError`] if the function did not return.
    ///
    /// # Cancel safety
    /// A function that has not begun is not run; one that has begun goes on.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ThreadError> {
        let (ended, returned) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nothing waits for it any longer.
            if ended.is_closed() {
                return;
            }
            // The receiver is gone if the task no longer waits for the function.
            let _ = ended.send(caught(work).map_err(ThreadError::Panicked));
        });
        self.submit(job).map_err(ThreadError::Unavailable)?;
        returned.await.expect("a job that is waited for always sends")
    }

    fn submit(&self, job: Job) -> std::io::Result<()> {
        let mut state = lock(&self.pool.state);
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= self.limit {
            self.pool.work.notify_one();
            return Ok(());
        }
        state.threads += 1;
        state.made += 1;
        let pool = self.pool.clone();
        let name = format!("avtomatika-blocking-{}", state.made);
        let spawned = std::thread::Builder::new().name(name).spawn(move || pool.work());
        if let Err(error) = spawned {
            state.threads -= 1;
            // Another thread will take the job once it is free; without any thread the job would be lost.
            if state.threads == 0 {
                state.jobs.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Drop for BlockingThreads {
    fn drop(&mut self) {
        lock(&self.pool.state).closed = true;
        self.pool.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use futures_util::FutureExt;

    use super::*;

    impl BlockingThreads {
        /// The number of threads that wait for a job.
        pub(crate) fn idle(&self) -> usize {
            lock(&self.pool.state).idle
        }
    }

    #[tokio::test]
    async fn as_many_block_at_once_as_there_are_slots() {
        let threads = Arc::new(BlockingThreads::new(40));
        let barrier = Arc::new(Barrier::new(40));
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let (threads, barrier) = (threads.clone(), barrier.clone());
                async move {
                    threads
                        .run(move || {
                            barrier.wait();
                        })
                        .await
                }
            })
            .collect();
        for returned in futures_util::future::join_all(tasks).await {
            returned.expect("the function returned");
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_tasks_failure_and_the_thread_lives_on() {
        let threads = BlockingThreads::new(1);
        let failed = threads.run(|| panic!("boom")).await;
        assert!(matches!(&failed, Err(ThreadError::Panicked(message)) if message == "boom"), "{failed:?}");
        threads.run(|| ()).await.expect("the thread lives on");
        assert_eq!(lock(&threads.pool.state).made, 1);
    }

    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[tokio::test]
    async fn a_value_that_panics_when_it_is_dropped_costs_no_thread() {
        let threads = BlockingThreads::new(1);
        let failed: Result<(), _> = threads.run(|| std::panic::panic_any(Bomb)).await;
        assert!(matches!(failed, Err(ThreadError::Panicked(_))), "{failed:?}");
        // Abandoned before it began: its arguments are dropped on the thread.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = threads.run(move || {
            let _ = released.recv();
        });
        let bomb = Bomb;
        let given_up = threads.run(move || {
            std::mem::forget(bomb);
        });
        let both = async { tokio::join!(busy, async { given_up.now_or_never() }) };
        let mut both = std::pin::pin!(both);
        assert!(futures_util::poll!(&mut both).is_pending());
        drop(release);
        both.await.0.expect("the function returned");
        threads.run(|| ()).await.expect("the thread lives on");
        let state = lock(&threads.pool.state);
        assert_eq!((state.threads, state.made), (1, 1));
    }

    #[tokio::test]
    async fn no_more_threads_are_made_than_there_are_slots_and_none_before_it_is_needed() {
        let threads = BlockingThreads::new(3);
        assert_eq!(lock(&threads.pool.state).made, 0);
        for made in 1..=2 {
            threads.run(|| ()).await.expect("a thread");
            assert!(lock(&threads.pool.state).made <= made);
        }
        let crowd = (0..50).map(|_| {
            threads.run(|| {
                std::thread::sleep(Duration::from_millis(1));
            })
        });
        futures_util::future::join_all(crowd).await;
        assert_eq!(lock(&threads.pool.state).made, 3);
    }

    #[tokio::test]
    async fn threads_are_named() {
        let threads = BlockingThreads::new(1);
        let name = threads.run(|| std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name.expect("a thread").as_deref(), Some("avtomatika-blocking-1"));
    }
}
