//! Live changes for browsers: server-sent events.
//!
//! Events are numbered and kept in a [`Record`]. A reader only has a position in it: however slow it reads, it takes no
//! memory, and when its position was dropped from the record it gets `lagged` and a new snapshot. Changes of tasks and
//! workers are noted where they happen, and become events in [`scribe`]: that writes the state at that moment, so that
//! many changes in a short time are one event.
//!
//! Nothing is recorded before the first reader.

mod frame;
mod pace;
mod pending;
mod reader;
mod record;
mod scribe;
mod views;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rxon::WorkerId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};

use self::pending::Pending;
pub(crate) use self::reader::Reader;
use self::record::Record;
pub(crate) use self::scribe::keep;
use crate::clock::Now;
use crate::events::Event;

/// The number of readers at once: more than a person opens windows.
const MAX_READERS: usize = 256;

/// The record of events, and the changes that are not in it yet.
#[derive(Debug)]
pub(crate) struct Live {
    /// Set by the first reader.
    is_recording: AtomicBool,
    state: Mutex<State>,
    /// Changes when there are new events for the readers.
    news: watch::Sender<()>,
    /// Wakes the scribe.
    noted: Notify,
    readers: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    record: Record,
    pending: Pending,
    /// The state of each fault switch, for snapshots.
    faults: BTreeMap<String, Value>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            is_recording: AtomicBool::new(false),
            state: Mutex::new(State {
                record: Record::new(),
                pending: Pending::default(),
                faults: BTreeMap::new(),
            }),
            news: watch::Sender::new(()),
            noted: Notify::new(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// Notes a change, to be told to the readers.
    pub(crate) fn note(&self, event: &Event) {
        self.change(|pending| pending.note(event, Now::read().instant));
    }

    /// Notes that something about a worker has changed that has no event, such as its last heartbeat.
    pub(crate) fn note_worker(&self, worker: &WorkerId) {
        self.change(|pending| pending.note_worker(worker, Now::read().instant));
    }

    /// Tells the readers about a line of a log.
    pub(crate) fn log(&self, line: &impl Serialize) {
        self.tell("log", line);
    }

    /// Tells the readers about a fault that was switched on or off, or counted a hit, and keeps its state for snapshots.
    /// The state is an object, as in `GET /api/faults`; an event has the name beside its members.
    #[cfg_attr(not(test), expect(dead_code, reason = "the fault switches call it, which are not here yet"))]
    pub(crate) fn fault(&self, name: &str, state: &impl Serialize) {
        let Ok(Value::Object(mut state)) = serde_json::to_value(state) else { return };
        self.lock().faults.insert(name.to_owned(), Value::Object(state.clone()));
        state.insert("name".to_owned(), name.into());
        self.tell("fault", &state);
    }

    /// Tells the readers the verdict about a fault.
    #[cfg_attr(not(test), expect(dead_code, reason = "the fault switches call it, which are not here yet"))]
    pub(crate) fn verdict(&self, verdict: &impl Serialize) {
        self.tell("verdict", verdict);
    }

    /// Tells the readers the statistics of the last second.
    #[cfg_attr(not(test), expect(dead_code, reason = "the statistics call it, which are not here yet"))]
    pub(crate) fn stats(&self, second: &impl Serialize) {
        self.tell("stats", second);
    }

    fn tell(&self, name: &'static str, data: &impl Serialize) {
        if self.is_recording()
            && let Ok(data) = serde_json::to_string(data)
        {
            self.lock().record.push(name, &data);
            self.news.send_replace(());
        }
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        if self.is_recording() {
            change(&mut self.lock().pending);
            self.noted.notify_one();
        }
    }

    fn is_recording(&self) -> bool {
        self.is_recording.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
