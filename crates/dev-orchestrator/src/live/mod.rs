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

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};

use self::pending::Pending;
pub(crate) use self::reader::Reader;
use self::record::Record;
pub(crate) use self::scribe::keep;
use crate::clock::Now;
use crate::events::Event;
use crate::faults::{Fault, FaultState};
use crate::stats::Second;

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
}

/// The data of an event about a fault.
#[derive(Serialize)]
struct FaultEvent<'a> {
    name: Fault,
    #[serde(flatten)]
    state: &'a FaultState,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            is_recording: AtomicBool::new(false),
            state: Mutex::new(State { record: Record::new(), pending: Pending::default() }),
            news: watch::Sender::new(()),
            noted: Notify::new(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// Notes a change, to be told to the readers.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::FaultChanged { name, state } => self.tell("fault", &FaultEvent { name: *name, state }),
            Event::FaultJudged { verdict } => self.tell("verdict", verdict),
            _ => self.change(|pending| pending.note(event, Now::read().instant)),
        }
    }

    /// Tells the readers about a line of a log.
    pub(crate) fn log(&self, line: &impl Serialize) {
        self.tell("log", line);
    }

    /// Tells the readers the statistics of the last second.
    fn stats(&self, second: &Second) {
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
