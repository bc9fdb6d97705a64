//! What is wanted from messages: lines with the task and the span they belong to, and spans with their tasks.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::messages::{AnyValue, KeyValue, LogRecord, LogsRequest, Resource, TracesRequest, Value};
use crate::logs::{LogSource, NewLine, cut_fields, cut_text};

/// The attribute with the id of a task.
const TASK: &str = "task_id";

/// The attributes with the name of a worker, the best first.
const WORKER: [&str; 3] = ["worker_id", "service.instance.id", "service.name"];

/// A span, by the ids of its trace and itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SpanId {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

/// A log record as a line, and the span in which it was made.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) line: NewLine,
    pub(super) span: Option<SpanId>,
}

/// A span with its task, if it says that itself, and the span around it.
#[derive(Debug)]
pub(super) struct LinkedSpan {
    pub(super) id: SpanId,
    pub(super) task_id: Option<String>,
    pub(super) parent: Option<SpanId>,
}

/// Returns the records of a request.
pub(super) fn of_logs(request: LogsRequest) -> impl Iterator<Item = Record> {
    request.resource_logs.into_iter().flat_map(|part| {
        let shared = Shared::of(part.resource);
        let records = part.scope_logs.into_iter().flat_map(|scope| scope.log_records);
        records.map(move |record| record_of(record, &shared))
    })
}

/// Returns the spans of a request; those without valid ids are `None`.
pub(super) fn of_traces(request: TracesRequest) -> impl Iterator<Item = Option<LinkedSpan>> {
    request.resource_spans.into_iter().flat_map(|part| {
        let shared = Shared::of(part.resource);
        let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.map(move |span| {
            let id = span_id(&span.trace_id, &span.span_id)?;
            let task_id = text_of(&span.attributes, TASK).or_else(|| shared.task_id.clone());
            Some(LinkedSpan { id, task_id, parent: span_id(&span.trace_id, &span.parent_span_id) })
        })
    })
}

fn record_of(record: LogRecord, shared: &Shared) -> Record {
    let span = span_id(&record.trace_id, &record.span_id);
    let own = |name: &str| text_of(&record.attributes, name);
    let task_id = own(TASK).or_else(|| shared.task_id.clone());
    let mut workers = WORKER.iter().zip(&shared.workers);
    let worker_id =
        workers.find_map(|(name, shared)| own(name).or_else(|| shared.clone())).unwrap_or_default();
    let nanoseconds = [record.time_unix_nano, record.observed_time_unix_nano];
    let at = nanoseconds.into_iter().find(|nanoseconds| *nanoseconds > 0);
    let (text, is_text_cut) = cut_text(&body_of(record.body));
    let fields: BTreeMap<String, Json> = record
        .attributes
        .into_iter()
        .filter(|attribute| attribute.key != TASK)
        .map(|attribute| (attribute.key, attribute.value.map_or(Json::Null, json_of)))
        .collect();
    let (fields, are_fields_cut) = cut_fields(&fields);
    let line = NewLine {
        at: at.map(|nanoseconds| nanoseconds as f64 / 1e9),
        level: level(&record.severity_text, record.severity_number),
        text,
        fields,
        is_cut: is_text_cut || are_fields_cut,
        source: LogSource::Otlp,
        worker_id: crate::text::cut(&worker_id, 128),
        task_id: task_id.map(|id| crate::text::cut(&id, 200)),
    };
    Record { line, span }
}

/// What a resource says for all of its records. There may be many of these and many attributes, so that these are
/// searched once.
struct Shared {
    task_id: Option<String>,
    /// In the order of [`WORKER`].
    workers: [Option<String>; WORKER.len()],
}

impl Shared {
    fn of(resource: Option<Resource>) -> Self {
        let attributes = resource.map(|resource| resource.attributes).unwrap_or_default();
        Self { task_id: text_of(&attributes, TASK), workers: WORKER.map(|name| text_of(&attributes, name)) }
    }
}

fn text_of(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?;
    match value.value.as_ref()? {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn body_of(body: Option<AnyValue>) -> String {
    match body.and_then(|body| body.value) {
        None => String::new(),
        Some(Value::Text(text)) => text,
        value => json_of(AnyValue { value }).to_string(),
    }
}

/// Returns a value as JSON. It is not deeper than the limits of both encodings, which are about a hundred.
fn json_of(value: AnyValue) -> Json {
    match value.value {
        None => Json::Null,
        Some(Value::Text(text)) => text.into(),
        Some(Value::Bool(value)) => value.into(),
        Some(Value::Integer(number)) => number.into(),
        Some(Value::Float(number)) => json!(number),
        Some(Value::List(list)) => list.values.into_iter().map(json_of).collect(),
        Some(Value::Object(object)) => {
            let members = object.values.into_iter();
            members.map(|member| (member.key, member.value.map_or(Json::Null, json_of))).collect()
        }
        Some(Value::Bytes(bytes)) => format!("{} bytes", bytes.len()).into(),
    }
}

/// Returns the level as it was written, else the one of the number's range.
fn level(text: &str, number: i32) -> Option<String> {
    if !text.is_empty() {
        return Some(crate::text::cut(&text.to_uppercase(), 128));
    }
    let name = match number {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => return None,
    };
    Some(name.to_owned())
}

/// Returns the id of a span, unless it is absent: empty, or all zeros.
fn span_id(trace: &[u8], span: &[u8]) -> Option<SpanId> {
    let id = SpanId { trace: trace.try_into().ok()?, span: span.try_into().ok()? };
    (id.trace != [0; 16] && id.span != [0; 8]).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(json: Json) -> Vec<Record> {
        of_logs(serde_json::from_value(json).expect("a message")).collect()
    }

    fn attribute(key: &str, value: &str) -> Json {
        json!({"key": key, "value": {"stringValue": value}})
    }

    #[test]
    fn a_record_is_a_line() {
        let found = records(json!({"resourceLogs": [{
            "resource": {"attributes": [attribute("service.name", "resizer"), attribute("task_id", "t1")]},
            "scopeLogs": [{"logRecords": [
                {"timeUnixNano": "1500000000", "severityText": "Warning", "body": {"stringValue": "hello"},
                 "attributes": [attribute("task_id", "t2"), attribute("worker_id", "w"), {"key": "n", "value": {"intValue": 5}}]},
                {"observedTimeUnixNano": "2000000000", "severityNumber": 17, "traceId": "00".repeat(16), "spanId": "01".repeat(8),
                 "body": {"kvlistValue": {"values": [{"key": "a", "value": {"doubleValue": 0.5}}]}}},
            ]}],
        }]}));
        let [first, second] = &found[..] else { panic!("two records: {found:?}") };
        let line = &first.line;
        assert_eq!(
            (line.at, line.level.as_deref(), line.text.as_str()),
            (Some(1.5), Some("WARNING"), "hello")
        );
        assert_eq!((line.task_id.as_deref(), line.worker_id.as_str()), (Some("t2"), "w"));
        assert_eq!(line.fields.as_ref().expect("fields").get(), r#"{"n":5,"worker_id":"w"}"#);
        let line = &second.line;
        assert_eq!(
            (line.at, line.level.as_deref(), line.text.as_str()),
            (Some(2.0), Some("ERROR"), r#"{"a":0.5}"#)
        );
        assert_eq!((line.task_id.as_deref(), line.worker_id.as_str()), (Some("t1"), "resizer"));
        assert_eq!(second.span, None, "zeros are no trace");
    }

    #[test]
    fn many_attributes_of_a_resource_are_searched_once() {
        let found = vec![json!({"key": "", "value": {}}); 50_000];
        let records_json = vec![json!({"body": {"stringValue": "a"}}); 5000];
        let message = json!({"resourceLogs": [{
            "resource": {"attributes": found}, "scopeLogs": [{"logRecords": records_json}],
        }]});
        let began = std::time::Instant::now();
        assert_eq!(records(message).len(), 5000);
        // A search for each record would take a minute.
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn spans_without_valid_ids_are_left_out() {
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [
            {"traceId": "ab".repeat(16), "spanId": "01".repeat(8), "attributes": [attribute("task_id", "t1")]},
            {"traceId": "ab".repeat(16), "spanId": "02".repeat(8), "parentSpanId": "01".repeat(8)},
            {"traceId": "ab", "spanId": "03".repeat(8)},
            {},
        ]}]}]});
        let spans = of_traces(serde_json::from_value(request).expect("a message"));
        let spans: Vec<LinkedSpan> = spans.flatten().collect();
        let [first, second] = &spans[..] else { panic!("two spans: {spans:?}") };
        assert_eq!((first.task_id.as_deref(), first.parent), (Some("t1"), None));
        assert_eq!((second.task_id.as_deref(), second.parent), (None, Some(first.id)));
    }
}
