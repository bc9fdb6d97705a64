//! The mailbox between the runtime and Python's event loop.
//!
//! ```text
//! data thread                      loop's thread
//! handler's future ─► records ──wake-up──► pump: takes all records in one call, starts tasks
//!       ▲                                      │
//!       └───── deliver ◄─── returned ◄─────────┘ outcomes, in one call per turn of the loop; the same call takes
//!                                                records again, so a busy loop needs no wake-up
//! ```
//!
//! The bell rings once for what the data thread sends before it sleeps, or in a few passes through its queue if it has
//! other work and does not sleep.
//!
//! The runtime's threads never take Python's lock, and no lock of this module is held while Python runs. The number of
//! slots limits the tasks under way, and with them the size of the mailbox; log lines have a limit of their own.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

use avtomatika_worker::extract::Outside;
use avtomatika_worker::{Outcome, TaskContext, TaskRequest};
use tokio::sync::Notify;

use crate::lines::Lines;
use crate::record::{ArrivedTask, Record};

/// As many records do not wait for further ones: the bell rings for them at once.
const MAX_WAITING: usize = 16;

/// The bell waits for as many passes through the data thread's queue: a response that has arrived needs about as many
/// until its tasks are records.
const PASSES: usize = 3;

thread_local! {
    /// Whether this is the data thread of a worker.
    static RINGS_LATER: Cell<bool> = const { Cell::new(false) };
}

/// Both directions of the mailbox, and the log lines.
pub(crate) struct Bridge {
    inbox: Mutex<Inbox>,
    returned: Mutex<Vec<(Outside, Outcome)>>,
    back: Notify,
    numbers: AtomicU64,
    /// There is middleware now, which runs on the loop, even that of handlers on threads.
    all_on_loop: AtomicBool,
    /// The bell has to be rung by the data thread.
    to_ring: AtomicBool,
    /// Wakes `ring_soon`.
    ring_soon: Notify,
    bell: UnixStream,
    listener: UnixStream,
    pub(crate) lines: Lines,
}

#[derive(Default)]
struct Inbox {
    records: VecDeque<Record>,
    /// The time of the first event that the loop has not taken yet.
    rung: Option<Instant>,
    /// The loop took records, and will take further ones without being woken. Until then the bell stays silent.
    will_take: bool,
    /// The number of tasks whose handlers run on the loop.
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
            all_on_loop: AtomicBool::new(false),
            to_ring: AtomicBool::new(false),
            ring_soon: Notify::new(),
            bell,
            listener,
            lines: Lines::default(),
        })
    }

    /// A file descriptor that is readable when there is something to drain: the bell.
    pub(crate) fn fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// Runs one task in Python. Every task name has this as its handler.
    pub(crate) async fn run(self: Arc<Self>, route: Route, mut request: TaskRequest) -> Outcome {
        let context: TaskContext = request.context().clone();
        let (outside, outcome) = context.outside();
        let to_stop = outside.context().clone();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let params = std::mem::take(&mut request.parts_mut().params);
        // Dropping this future cancels the task in Python, too.
        let mut cancel = CancelOnDrop { bridge: &self, number: Some(number) };
        let on_loop = !route.on_thread || self.all_on_loop.load(Ordering::Relaxed);
        let arrived = ArrivedTask { number, route: route.index, on_loop, outside, params };
        self.push(Record::Task(arrived));
        tokio::pin!(outcome);
        let outcome = tokio::select! {
            biased;
            outcome = &mut outcome => outcome,
            () = to_stop.cancelled() => {
                cancel.send();
                outcome.await
            }
        };
        cancel.number = None;
        outcome
    }

    /// Sends a record to the loop. Never blocks.
    pub(crate) fn push(&self, record: Record) {
        let mut inbox = self.inbox();
        if let Record::Task(ArrivedTask { on_loop: true, .. }) = &record {
            inbox.on_loop += 1;
        }
        inbox.records.push_back(record);
        let needs_bell = mark_rung(&mut inbox);
        let are_many = inbox.records.len() >= MAX_WAITING;
        drop(inbox);
        self.ring_if(needs_bell);
        if are_many {
            self.ring_if_due();
        }
    }

    /// Tells that the current thread runs `ring_soon`, and calls `ring_if_due` before it ends.
    pub(crate) fn ring_later() {
        RINGS_LATER.set(true);
    }

    /// Rings the bell if that was put off. Called on the data thread.
    pub(crate) fn ring_if_due(&self) {
        if self.to_ring.load(Ordering::Relaxed) {
            self.to_ring.store(false, Ordering::Relaxed);
            self.ring();
        }
    }

    /// Rings the bell soon after it was put off, for as long as it is polled. It is a task of its own of the data thread's
    /// runtime: that wakes it without a system call, and polls it before the thread sleeps, but also if it never does.
    pub(crate) async fn ring_soon(&self) {
        loop {
            self.ring_soon.notified().await;
            for _ in 0..PASSES {
                let mut was_polled = false;
                // Goes to the end of the queue. Tokio's own `yield_now` would cost a look at the sockets.
                std::future::poll_fn(|cx| {
                    if std::mem::replace(&mut was_polled, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
            self.ring_if_due();
        }
    }

    /// Counts every task that arrives from now on as one on the loop.
    pub(crate) fn set_all_on_loop(&self) {
        self.all_on_loop.store(true, Ordering::Relaxed);
    }

    /// Wakes the loop for something other than a record.
    pub(crate) fn wake(&self) {
        let needs_bell = mark_rung(&mut self.inbox());
        self.ring_if(needs_bell);
    }

    fn ring_if(&self, needs_bell: bool) {
        if needs_bell && RINGS_LATER.get() {
            self.to_ring.store(true, Ordering::Relaxed);
            self.ring_soon.notify_one();
        } else if needs_bell {
            self.ring();
        }
    }

    fn ring(&self) {
        // A full buffer is readable already. The other end lives as long as this one.
        let _ = (&self.bell).write(&[0]);
    }

    /// Takes the outcomes of handlers, of which `on_loop` have run on the loop, and returns all records. A caller that
    /// gets any calls this again soon. `rung` means that the bell woke the caller. Never blocks.
    pub(crate) fn exchange(
        &self,
        outcomes: Vec<(Outside, Outcome)>,
        on_loop: usize,
        rung: bool,
    ) -> VecDeque<Record> {
        self.hand_back(outcomes);
        if rung {
            // The bell is emptied before the records are taken: anything that rings afterwards wakes the loop again.
            let _ = (&self.listener).read(&mut [0; 64]);
        }
        let mut inbox = self.inbox();
        inbox.on_loop = inbox.on_loop.saturating_sub(on_loop);
        inbox.rung = None;
        inbox.will_take = !inbox.records.is_empty();
        std::mem::take(&mut inbox.records)
    }

    /// Wakes the loop if handlers run on it, and returns the time since which the loop has taken nothing.
    pub(crate) fn probe(&self) -> Option<Instant> {
        let mut inbox = self.inbox();
        let needs_bell = inbox.on_loop > 0 && mark_rung(&mut inbox);
        // Until the bell has rung, the loop is not to blame.
        let since = inbox.rung.filter(|_| !self.to_ring.load(Ordering::Relaxed));
        drop(inbox);
        self.ring_if(needs_bell);
        since
    }

    /// Records that this many handlers on the loop have ended.
    pub(crate) fn ended_on_loop(&self, count: usize) {
        let mut inbox = self.inbox();
        inbox.on_loop = inbox.on_loop.saturating_sub(count);
    }

    /// Takes the outcomes of handlers back to the runtime. Never blocks.
    pub(crate) fn hand_back(&self, outcomes: Vec<(Outside, Outcome)>) {
        if !outcomes.is_empty() {
            self.returned().extend(outcomes);
            self.back.notify_one();
        }
    }

    /// Finishes the tasks whose outcomes were handed back, for as long as it is polled. It runs on the runtime, where
    /// finishing a task wakes no other thread.
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

/// Records that something waits for the loop; returns whether the bell has to be rung for it.
fn mark_rung(inbox: &mut Inbox) -> bool {
    let is_first = inbox.rung.is_none();
    inbox.rung.get_or_insert_with(Instant::now);
    is_first && !inbox.will_take
}

/// Where the handler of a task name is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// The index of the name in the list of tasks.
    pub(crate) index: usize,
    pub(crate) on_thread: bool,
}

/// Cancels the task in Python, at most once: by `send`, or when it is dropped before the task has ended.
struct CancelOnDrop<'a> {
    bridge: &'a Bridge,
    number: Option<u64>,
}

impl CancelOnDrop<'_> {
    fn send(&mut self) {
        if let Some(number) = self.number.take() {
            self.bridge.push(Record::Cancel(number));
        }
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.send();
    }
}
