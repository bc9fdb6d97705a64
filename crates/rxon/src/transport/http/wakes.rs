//! Wake-ups of parts that wake each other and are polled together.
//!
//! No wake-up is lost. Every change of the state both acquires and releases, so the changes are in one order, and what was
//! done before one of them is seen after the next. A wake-up therefore comes either before the swap to [`QUIET`], and the
//! pass after the swap sees what it is about; or between that and [`WAITING`], which then is not reached; or after
//! `WAITING`, and then it sees the waker that was registered before, and wakes the task. Of several, only the first has to:
//! the task's next pass begins with a swap, too, and so comes after all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The most passes in a row before other tasks get a turn.
const MAX_PASSES: u32 = 4;

/// Nobody has been woken since the pass began, or since the exchange ended.
const QUIET: u8 = 0;

/// A part was woken, and is to be polled once more.
const WOKEN: u8 = 1;

/// All parts wait. The next wake-up is one for the task.
const WAITING: u8 = 2;

/// The wake-ups of parts that are polled together by one task.
///
/// hyper's connection and those who wait for something from it wake each other through channels, as if they were two
/// tasks: each time the task that polls both would be scheduled again for what it is about to see anyway. So the parts get
/// a waker that wakes the task only while it waits. A wake-up during a pass leads to another pass, and one after the last
/// pass to nothing: the next one begins with looking at everything.
pub(super) struct Wakes {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whatever was done before the wake-up is seen by the pass that takes it in.
        if self.state.swap(WOKEN, Ordering::AcqRel) == WAITING {
            self.task.wake();
        }
    }
}

impl Default for Wakes {
    fn default() -> Self {
        let shared = Arc::<Shared>::default();
        Self { waker: shared.clone().into(), shared }
    }
}

impl Wakes {
    /// Polls the parts with `pass`, once more for each time that one of them is woken meanwhile.
    pub(super) fn poll<T>(
        &self,
        context: &mut Context<'_>,
        mut pass: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let state = &self.shared.state;
        // Before the state can become WAITING, so that there is a task to wake.
        self.shared.task.register(context.waker());
        for _ in 0..MAX_PASSES {
            state.swap(QUIET, Ordering::AcqRel);
            let polled = pass(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                return polled;
            }
            if state.compare_exchange(QUIET, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts the wake-ups of a task.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls with a pass, and returns its result, the number of passes, and how often the task was woken meanwhile.
    fn poll(
        parts: &Wakes,
        task: &Arc<Counted>,
        mut pass: impl FnMut(u32, &Waker) -> Poll<()>,
    ) -> (Poll<()>, u32, usize) {
        let (waker, before) = (Waker::from(task.clone()), task.0.load(Ordering::SeqCst));
        let mut passes = 0;
        let polled = parts.poll(&mut Context::from_waker(&waker), |context| {
            passes += 1;
            pass(passes, context.waker())
        });
        (polled, passes, task.0.load(Ordering::SeqCst) - before)
    }

    #[test]
    fn a_wake_up_during_a_pass_leads_to_another_and_not_to_the_task() {
        let (parts, task) = <(Wakes, Arc<Counted>)>::default();
        assert_eq!(poll(&parts, &task, |_, _| Poll::Pending), (Poll::Pending, 1, 0));
        let woken_once = |pass, waker: &Waker| {
            if pass == 1 {
                waker.wake_by_ref();
                waker.wake_by_ref();
            }
            Poll::Pending
        };
        assert_eq!(poll(&parts, &task, woken_once), (Poll::Pending, 2, 0));
        let from_elsewhere = |pass, waker: &Waker| {
            if pass == 1 {
                let waker = waker.clone();
                std::thread::spawn(move || waker.wake()).join().expect("no panic");
            }
            Poll::Pending
        };
        assert_eq!(poll(&parts, &task, from_elsewhere), (Poll::Pending, 2, 0));
        let ready = |pass, waker: &Waker| {
            waker.wake_by_ref();
            if pass == 2 { Poll::Ready(()) } else { Poll::Pending }
        };
        assert_eq!(poll(&parts, &task, ready), (Poll::Ready(()), 2, 0));
    }

    #[test]
    fn a_wake_up_while_all_wait_is_one_of_the_task_that_polled_last() {
        let (parts, first, last) = <(Wakes, Arc<Counted>, Arc<Counted>)>::default();
        let mut kept = Waker::noop().clone();
        for task in [&first, &last] {
            let keep = |_, waker: &Waker| {
                kept = waker.clone();
                Poll::Pending
            };
            assert_eq!(poll(&parts, task, keep), (Poll::Pending, 1, 0));
        }
        kept.wake_by_ref();
        kept.wake();
        assert_eq!((first.0.load(Ordering::SeqCst), last.0.load(Ordering::SeqCst)), (0, 1), "and only once");
    }

    #[test]
    fn a_wake_up_between_two_exchanges_wakes_nobody_and_is_not_lost() {
        let (parts, task) = <(Wakes, Arc<Counted>)>::default();
        let mut kept = Waker::noop().clone();
        let keep = |_, waker: &Waker| {
            kept = waker.clone();
            Poll::Ready(())
        };
        assert_eq!(poll(&parts, &task, keep), (Poll::Ready(()), 1, 0));
        kept.wake_by_ref();
        assert_eq!(task.0.load(Ordering::SeqCst), 0);
        // The next exchange begins with a pass, whether there was a wake-up or not.
        assert_eq!(poll(&parts, &task, |_, _| Poll::Pending), (Poll::Pending, 1, 0));
        kept.wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn parts_that_wake_each_other_for_ever_leave_others_their_turn() {
        let (parts, task) = <(Wakes, Arc<Counted>)>::default();
        let woken = |_, waker: &Waker| {
            waker.wake_by_ref();
            Poll::Pending
        };
        for _ in 0..3 {
            assert_eq!(poll(&parts, &task, woken), (Poll::Pending, MAX_PASSES, 1));
        }
    }

    /// Another thread hands over numbers, one at a time and each with one wake-up, at every moment there is. If one
    /// wake-up were lost, both would wait for ever.
    #[tokio::test]
    async fn no_wake_up_from_another_thread_is_lost() {
        const NUMBERS: usize = 5_000;
        let given = Arc::<AtomicUsize>::default();
        let part = Arc::<AtomicWaker>::default();
        let parts = Wakes::default();
        let taken = Arc::<AtomicUsize>::default();
        let thread = {
            let (given, part, taken) = (given.clone(), part.clone(), taken.clone());
            std::thread::spawn(move || {
                for number in 1..=NUMBERS {
                    given.store(number, Ordering::SeqCst);
                    part.wake();
                    while taken.load(Ordering::SeqCst) < number {
                        std::thread::yield_now();
                    }
                }
            })
        };
        for number in 1..=NUMBERS {
            std::future::poll_fn(|context| {
                parts.poll(context, |context| {
                    part.register(context.waker());
                    if given.load(Ordering::SeqCst) == number { Poll::Ready(()) } else { Poll::Pending }
                })
            })
            .await;
            taken.store(number, Ordering::SeqCst);
        }
        thread.join().expect("no panic");
    }
}
