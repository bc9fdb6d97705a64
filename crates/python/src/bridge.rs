//! From the runtime to Python's event loop and back.
//!
//! ```text
//! data thread                      loop's thread
//! handler's future ─► records ──wake-up──► pump: drains all of them in one call, makes tasks
//!       ▲                                      │
//!       └───── deliver ◄─── returned ◄─────────┘ outcomes, in one call for each turn of the loop, after which it
//!                                                drains again: a busy loop needs no wake-up
//! ```
//!
//! The runtime's threads never take Python's lock, and no lock of this module is held while Python runs. As many tasks
//! as there are slots can be under way, so nothing here grows beyond that; log lines have a limit of their own.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use avtomatika_worker::extract::Outside;
use avtomatika_worker::{IgnoredResult, Outcome, TaskContext, TaskRequest};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::command::Waiting;
use crate::logging::Lines;
use crate::runtime::Ended;

/// What the loop is told.
pub(crate) enum Record {
    Task(Arrived),
    /// The task of this number is to stop.
    Cancel(u64),
    Command(Waiting),
    Ignored(IgnoredResult),
    Ended(Ended),
}

/// A task on its way to its handler.
pub(crate) struct Arrived {
    pub(crate) number: u64,
    /// The place of its name in the list of tasks.
    pub(crate) route: usize,
    pub(crate) outside: Outside,
    pub(crate) params: Box<RawValue>,
}

/// Both directions.
pub(crate) struct Bridge {
    inbox: Mutex<Inbox>,
    returned: Mutex<Vec<(Outside, Outcome)>>,
    back: Notify,
    numbers: AtomicU64,
    bell: UnixStream,
    listener: UnixStream,
    pub(crate) lines: Lines,
}

#[derive(Default)]
struct Inbox {
    records: VecDeque<Record>,
    /// Since when something waits that nobody has come for yet.
    rung: Option<Instant>,
    /// The loop took something, and comes once more unasked: as long as it does, the bell is spared.
    comes_again: bool,
    /// Tasks whose handlers run on the loop.
    on_loop: usize,
}

impl Bridge {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, listener) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            inbox: Mutex::default(),
            returned: Mutex::default(),
            back: Notify::new(),
            numbers: AtomicU64::new(0),
            bell,
            listener,
            lines: Lines::default(),
        })
    }

    /// Readable when there is something to drain.
    pub(crate) fn fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// Runs one task in Python: what the handler of every task's name is.
    pub(crate) async fn run(self: Arc<Self>, route: Route, mut request: TaskRequest) -> Outcome {
        let context: TaskContext = request.context().clone();
        let (outside, outcome) = context.outside();
        let to_stop = outside.context().clone();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let params = std::mem::take(&mut request.parts_mut().params);
        // Whoever gives it up, by dropping this, tells it too.
        let mut given_up = TellToStop { bridge: &self, number: Some(number) };
        self.push(
            Record::Task(Arrived { number, route: route.place, outside, params }),
            usize::from(!route.on_thread),
        );
        tokio::pin!(outcome);
        let outcome = tokio::select! {
            biased;
            outcome = &mut outcome => outcome,
            () = to_stop.cancelled() => {
                given_up.tell();
                outcome.await
            }
        };
        given_up.number = None;
        outcome
    }

    /// Tells the loop. Never blocks.
    pub(crate) fn push(&self, record: Record, on_loop: usize) {
        let mut inbox = self.inbox();
        inbox.records.push_back(record);
        inbox.on_loop += on_loop;
        let rings = ring(&mut inbox);
        drop(inbox);
        self.ring_if(rings);
    }

    /// Wakes the loop, for what is not a record.
    pub(crate) fn wake(&self) {
        let rings = ring(&mut self.inbox());
        self.ring_if(rings);
    }

    fn ring_if(&self, rings: bool) {
        if rings {
            // Full, it rings already. The other end lives as long as this.
            let _ = (&self.bell).write(&[0]);
        }
    }

    /// Everything there is. Whoever gets something comes once more in the loop's next turn; `rung` says that it was the
    /// bell that called.
    pub(crate) fn drain(&self, rung: bool) -> VecDeque<Record> {
        if rung {
            // In this order: what rings after it was taken is heard.
            let _ = (&self.listener).read(&mut [0; 64]);
        }
        let mut inbox = self.inbox();
        inbox.rung = None;
        inbox.comes_again = !inbox.records.is_empty();
        std::mem::take(&mut inbox.records)
    }

    /// Wakes the loop if handlers run on it; gives since when it has not come.
    pub(crate) fn probe(&self) -> Option<Instant> {
        let mut inbox = self.inbox();
        let rings = inbox.on_loop > 0 && ring(&mut inbox);
        let since = inbox.rung;
        drop(inbox);
        self.ring_if(rings);
        since
    }

    /// Handlers on the loop have ended.
    pub(crate) fn ended_on_loop(&self, count: usize) {
        let mut inbox = self.inbox();
        inbox.on_loop = inbox.on_loop.saturating_sub(count);
    }

    /// Takes what handlers ended in. Never blocks.
    pub(crate) fn hand_back(&self, outcomes: Vec<(Outside, Outcome)>) {
        self.returned().extend(outcomes);
        self.back.notify_one();
    }

    /// Hands on what comes back, for as long as it is polled: on the runtime, where that wakes nobody else.
    pub(crate) async fn deliver(&self) {
        loop {
            self.back.notified().await;
            let outcomes = std::mem::take(&mut *self.returned());
            for (outside, outcome) in outcomes {
                outside.finish(outcome);
            }
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn returned(&self) -> MutexGuard<'_, Vec<(Outside, Outcome)>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the bell is to be rung.
fn ring(inbox: &mut Inbox) -> bool {
    let is_first = inbox.rung.is_none();
    inbox.rung.get_or_insert_with(Instant::now);
    is_first && !inbox.comes_again
}

/// Where a task's handler is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) place: usize,
    pub(crate) on_thread: bool,
}

struct TellToStop<'a> {
    bridge: &'a Bridge,
    number: Option<u64>,
}

impl TellToStop<'_> {
    fn tell(&mut self) {
        if let Some(number) = self.number.take() {
            self.bridge.push(Record::Cancel(number), 0);
        }
    }
}

impl Drop for TellToStop<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}
