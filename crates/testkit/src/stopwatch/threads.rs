//! The figures of Linux for each thread: the time on a processor, and the time in a queue for one. Other systems have
//! none, so that only timers show lateness.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Programs that tests have started, by their process ids.
static PROGRAMS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Counts the threads of a program like those of this process.
pub(crate) fn watch(program: u32) {
    programs().push(program);
}

/// Stops counting the threads of a program: its id may soon be another's.
pub(crate) fn unwatch(program: u32) {
    programs().retain(|id| *id != program);
}

fn programs() -> MutexGuard<'static, Vec<u32>> {
    PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time for which the threads of this process and of its programs have waited for a processor, all together.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The last figure of each thread, including those that have ended.
    of_threads: HashMap<u32, Duration>,
    sum: Duration,
}

impl Waits {
    pub(super) fn look(&mut self) -> Duration {
        self.look_at(Path::new("/proc/self/task"));
        for program in programs().iter() {
            self.look_at(Path::new(&format!("/proc/{program}/task")));
        }
        self.sum
    }

    fn look_at(&mut self, threads: &Path) {
        for thread in fs::read_dir(threads).into_iter().flatten().flatten() {
            let id = thread.file_name().to_str().and_then(|id| id.parse().ok());
            if let (Some(id), Some(given)) = (id, Given::read(&thread.path().join("schedstat"))) {
                let before = self.of_threads.insert(id, given.waited).unwrap_or_default();
                // A lower figure is that of another thread, which was given the id of one that has ended.
                self.sum += given.waited.checked_sub(before).unwrap_or(given.waited);
            }
        }
    }
}

/// The time that a thread was given, and the time it had to wait.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The time on a processor.
    ran: Duration,
    /// The time in a queue for one.
    waited: Duration,
}

impl Given {
    pub(super) fn to_this_thread() -> Self {
        Self::read(Path::new("/proc/thread-self/schedstat")).unwrap_or_default()
    }

    /// The time in which the thread was not asleep.
    pub(super) fn since(&self, before: &Self) -> Duration {
        self.ran.saturating_sub(before.ran) + self.waited_since(before)
    }

    /// The time in which the thread was in the queue.
    pub(super) fn waited_since(&self, before: &Self) -> Duration {
        self.waited.saturating_sub(before.waited)
    }

    fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let mut figures = text.split_whitespace().map(|figure| figure.parse().map(Duration::from_nanos));
        Some(Self { ran: figures.next()?.ok()?, waited: figures.next()?.ok()? })
    }
}
