//! OpenTelemetry over HTTP: log records become lines of tasks, and spans say to which task a record belongs.

mod decode;
mod messages;
mod records;
mod spans;

use std::sync::{Mutex, PoisonError};

pub(crate) use self::decode::{Encoding, MAX_BODY, Rubbish};
use self::messages::{LogsRequest, TracesRequest};
use self::records::{LinkedSpan, Record};
use self::spans::Spans;
use crate::hub::Hub;
use crate::logs::NewLine;

/// The spans of tasks, and records that wait for theirs.
#[derive(Debug, Default)]
pub(crate) struct Telemetry(Mutex<Spans>);

/// The log records of a request.
#[derive(Debug)]
pub(crate) struct LogRecords(Vec<Record>);

/// The spans of a request.
#[derive(Debug)]
pub(crate) struct TaskSpans(Vec<LinkedSpan>);

impl LogRecords {
    /// Reads a request, which may take a while.
    pub(crate) fn read(body: &[u8], encoding: Encoding) -> Result<Self, Rubbish> {
        Ok(Self(records::of_logs(decode::message::<LogsRequest>(body, encoding)?)))
    }
}

impl TaskSpans {
    /// Reads a request, which may take a while.
    pub(crate) fn read(body: &[u8], encoding: Encoding) -> Result<Self, Rubbish> {
        Ok(Self(records::of_traces(decode::message::<TracesRequest>(body, encoding)?)))
    }
}

impl Telemetry {
    /// Keeps log records as lines. One whose span is not known yet is a line of its worker, and becomes one of its task
    /// as well when the span arrives: spans are sent when they end, often after the records inside of them.
    pub(crate) fn take_logs(&self, hub: &Hub, LogRecords(records): LogRecords) {
        for Record { mut line, span } in records {
            if line.task_id.is_none()
                && let Some(span) = span
            {
                let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                line.task_id = spans.task_of(&span);
                if line.task_id.is_none() {
                    spans.keep(span, line.clone());
                }
            }
            hub.log(line);
        }
    }

    /// Learns to which tasks spans belong.
    pub(crate) fn take_spans(&self, hub: &Hub, TaskSpans(spans): TaskSpans) {
        let found: Vec<NewLine> = self.0.lock().unwrap_or_else(PoisonError::into_inner).add(spans);
        for line in found {
            hub.log(line);
        }
    }
}
