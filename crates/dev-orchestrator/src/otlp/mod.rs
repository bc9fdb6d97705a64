//! OpenTelemetry over HTTP: log records become lines of tasks, and spans say to which task a record belongs.

mod decode;
mod messages;
mod records;
mod size;
mod spans;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use self::decode::{Encoding, MAX_BODY, Rubbish};
use self::messages::{LogsRequest, TracesRequest};
use self::records::{LinkedSpan, Record};
use self::size::{Item, Kind};
use self::spans::Spans;
use crate::hub::Hub;
use crate::logs::NewLine;

/// The number of messages that are read at the same time.
const MAX_READ: usize = 2;

/// The spans of tasks, and records that wait for theirs.
#[derive(Debug)]
pub(crate) struct Telemetry {
    spans: Mutex<Spans>,
    /// The turns of messages: reading one takes time and memory.
    turns: Arc<Semaphore>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { spans: Mutex::default(), turns: Arc::new(Semaphore::new(MAX_READ)) }
    }
}

impl Telemetry {
    /// Waits until a message may be read. The permit is held until that is done.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.turns.clone().acquire_owned().await.ok()
    }

    /// Reads a request with log records, and keeps them. Takes a while.
    pub(crate) fn read_logs(&self, hub: &Hub, body: &[u8], encoding: Encoding) -> Result<(), Rubbish> {
        let request = decode::message::<LogsRequest>(body, encoding, Kind::Request(Item::Record))?;
        self.take_logs(hub, decode::limit_records(records::of_logs(request))?);
        Ok(())
    }

    /// Reads a request with spans, and learns to which tasks they belong. Takes a while.
    pub(crate) fn read_traces(&self, hub: &Hub, body: &[u8], encoding: Encoding) -> Result<(), Rubbish> {
        let request = decode::message::<TracesRequest>(body, encoding, Kind::Request(Item::Span))?;
        let spans = decode::limit_records(records::of_traces(request))?;
        self.take_spans(hub, spans.into_iter().flatten().collect());
        Ok(())
    }

    /// Keeps log records as lines. One whose span is not known yet is a line of its worker, and becomes one of its task
    /// as well when the span arrives: spans are sent when they end, often after the records inside of them.
    fn take_logs(&self, hub: &Hub, records: Vec<Record>) {
        for Record { mut line, span } in records {
            if line.task_id.is_none()
                && let Some(span) = span
            {
                let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
                line.task_id = spans.task_of(&span);
                if line.task_id.is_none() {
                    spans.keep(span, line.clone());
                }
            }
            hub.log(line);
        }
    }

    fn take_spans(&self, hub: &Hub, spans: Vec<LinkedSpan>) {
        let found: Vec<NewLine> = self.spans.lock().unwrap_or_else(PoisonError::into_inner).add(spans);
        for line in found {
            hub.log(line);
        }
    }
}
