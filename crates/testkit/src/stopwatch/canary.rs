//! Two canaries: a thread that looks at all threads of the process, and a task on the test's runtime.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::threads::{Given, Waits};

/// The time between two looks at all threads: a look reads a small file for each thread.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The time between two timers on the runtime. The measured work is late at each of its steps, so the timers are short.
const TICK: Duration = Duration::from_millis(5);

/// The canaries of this process.
#[derive(Debug)]
pub(super) struct Canary {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The time for which threads waited for a processor.
    waits: Waits,
    /// The time by which timers were late.
    timers: Duration,
    /// The sum of both, at each look.
    course: Vec<(Instant, Duration)>,
}

thread_local! {
    /// Whether the runtime that this thread drives has a canary.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

impl Canary {
    /// Starts its thread at first use; it lives as long as the process.
    pub(super) fn of_this_process() -> &'static Self {
        static CANARY: OnceLock<Canary> = OnceLock::new();
        static THREAD: OnceLock<()> = OnceLock::new();
        let canary = CANARY.get_or_init(|| Self { seen: Mutex::default() });
        THREAD.get_or_init(|| {
            canary.late_until_now();
            let look = || {
                loop {
                    let (asleep, before) = (Instant::now(), Given::to_this_thread());
                    thread::sleep(LOOK_EVERY);
                    let late = asleep.elapsed().saturating_sub(LOOK_EVERY);
                    // Its time in the queue is counted with that of all threads. The rest is a machine that stood still.
                    canary.lock().look(late.saturating_sub(Given::to_this_thread().waited_since(&before)));
                }
            };
            thread::Builder::new().name("canary".to_owned()).spawn(look).expect("a thread");
        });
        canary
    }

    /// Starts a canary on the runtime that this thread drives, if there is one and it has none.
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime, which is what it watches")]
    pub(super) fn watch_this_runtime(&'static self) {
        if tokio::runtime::Handle::try_current().is_ok() && !IS_WATCHED.replace(true) {
            tokio::spawn(async move {
                loop {
                    let before = (thread::current().id(), Given::to_this_thread());
                    let asleep = Instant::now();
                    tokio::time::sleep(TICK).await;
                    let late = asleep.elapsed().saturating_sub(TICK);
                    // A thread that is blocked or asleep was not held up by the machine. Of a runtime with several threads
                    // only those timers count that fire where they were set.
                    if thread::current().id() == before.0 {
                        self.lock().timers += late.min(Given::to_this_thread().since(&before.1));
                    }
                }
            });
        }
    }

    /// All lateness since the canaries began.
    pub(super) fn late_until_now(&self) -> Duration {
        self.lock().look(Duration::ZERO)
    }

    /// The lateness between the last look before the first moment and the first look after the second.
    pub(super) fn late_between(&self, first: Instant, second: Instant) -> Duration {
        let mut seen = self.lock();
        let latest = seen.look(Duration::ZERO);
        let before = seen.course.iter().rev().find(|(at, _)| *at <= first);
        let after = seen.course.iter().find(|(at, _)| *at >= second);
        let before = before.map_or(Duration::ZERO, |(_, late)| *late);
        after.map_or(latest, |(_, late)| *late).saturating_sub(before)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn look(&mut self, late: Duration) -> Duration {
        self.timers += late;
        let sum = self.timers + self.waits.look();
        self.course.push((Instant::now(), sum));
        sum
    }
}
