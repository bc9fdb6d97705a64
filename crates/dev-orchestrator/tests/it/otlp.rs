//! OpenTelemetry over HTTP.

use std::io::Write as _;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Answer, get, request, send};

async fn export(
    orchestrator: &DevOrchestrator,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let address = orchestrator.address();
    send(address, request(address, Method::POST, path, headers, body)).await
}

async fn export_json(orchestrator: &DevOrchestrator, path: &str, body: &Value) {
    let answer = export(orchestrator, path, &[("content-type", "application/json")], body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("written");
    encoder.finish().expect("written")
}

/// A field of a message of protobuf that is a text, bytes or another message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short");
    assert!(length < 128);
    [&[number << 3 | 2, length], content].concat()
}

/// The same for any length.
fn nested(content: &[u8], number: u8) -> Vec<u8> {
    let mut head = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 128 {
        head.push((length % 128 + 128) as u8);
        length /= 128;
    }
    head.push(length as u8);
    [&head, content].concat()
}

fn record(text: &str, task_id: &Value) -> Value {
    json!({"body": {"stringValue": text}, "attributes": [{"key": "task_id", "value": {"stringValue": task_id}}]})
}

async fn texts(orchestrator: &DevOrchestrator, path: &str) -> Vec<String> {
    let lines = get(orchestrator, path).await.json();
    let lines = lines["lines"].as_array().expect("a list");
    lines.iter().map(|line| line["text"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn a_record_is_found_by_the_task_in_its_attributes() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task_id = json!(submitted.task_id);
    let records = json!([record("in json", &task_id)]);
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
    export_json(&orchestrator, "/v1/logs", &logs).await;

    let attribute =
        [field(1, b"task_id"), field(2, &field(1, submitted.task_id.as_str().as_bytes()))].concat();
    let record = [field(3, b"WARN"), field(5, &field(1, b"in protobuf")), field(6, &attribute)].concat();
    let logs = field(1, &field(2, &field(2, &record)));
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let answer = export(&orchestrator, "/v1/logs", &headers, zipped(&logs)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));

    let path = format!("/api/tasks/{}/logs", submitted.job_id);
    assert_eq!(texts(&orchestrator, &path).await, ["in json", "in protobuf"]);
    let lines = get(&orchestrator, &path).await.json();
    let line = &lines["lines"][1];
    assert_eq!((&line["level"], &line["source"]), (&json!("WARN"), &json!("otlp")));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_record_is_found_by_the_span_around_it_whichever_comes_first() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let trace = "ab".repeat(16);
    let record =
        |text: &str| json!({"traceId": trace, "spanId": "02".repeat(8), "body": {"stringValue": text}});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "resizer"}}]});
    let logs = |text| json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record(text)]}]}]});
    let spans = |spans| json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    export_json(&orchestrator, "/v1/logs", &logs("before")).await;
    assert_eq!(texts(&orchestrator, "/api/workers/resizer/logs").await, ["before"]);
    let inner = json!([{"traceId": trace, "spanId": "02".repeat(8), "parentSpanId": "01".repeat(8)}]);
    export_json(&orchestrator, "/v1/traces", &spans(inner)).await;
    let path = format!("/api/tasks/{}/logs", submitted.job_id);
    assert!(texts(&orchestrator, &path).await.is_empty());
    let attributes = json!([{"key": "task_id", "value": {"stringValue": submitted.task_id}}]);
    let outer = json!([{"traceId": trace, "spanId": "01".repeat(8), "attributes": attributes}]);
    export_json(&orchestrator, "/v1/traces", &spans(outer)).await;
    export_json(&orchestrator, "/v1/logs", &logs("after")).await;
    assert_eq!(texts(&orchestrator, &path).await, ["before", "after"]);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn rubbish_and_too_much_are_refused() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let json = ("content-type", "application/json");
    let protobuf = ("content-type", "application/x-protobuf");
    let gzip = ("content-encoding", "gzip");
    for path in ["/v1/logs", "/v1/traces"] {
        export(&orchestrator, path, &[json], "").await.error(400);
        export(&orchestrator, path, &[json], "[]").await.error(400);
        export(&orchestrator, path, &[json, gzip], "{}").await.error(400);
        export(&orchestrator, path, &[protobuf], "<html>").await.error(400);
        export(&orchestrator, path, &[json, ("content-encoding", "br")], "{}").await.error(415);
        export(&orchestrator, path, &[("content-type", "text/plain")], "{}").await.error(415);
        export(&orchestrator, path, &[], "{}").await.error(415);
        export(&orchestrator, path, &[json], vec![b' '; 5_000_000]).await.error(413);
        export(&orchestrator, path, &[json, gzip], zipped(&vec![b' '; 20_000_000])).await.error(413);
        // Many values in few bytes: 2,000,000 records without content, and a few more records than the limit.
        let empty = b"\x12\x00".repeat(2_000_000);
        let many = [nested(&nested(&empty, 2), 1), nested(&nested(&empty[..2 * 10_001], 2), 1)];
        for body in many {
            let text = export(&orchestrator, path, &[protobuf, gzip], zipped(&body)).await.error(413);
            assert!(text.contains("send less at once"), "{text}");
        }
        let most = nested(&nested(&empty[..2 * 10_000], 2), 1);
        assert_eq!(export(&orchestrator, path, &[protobuf], most).await.status, 200);
        assert_eq!(export(&orchestrator, path, &[protobuf], "").await.json(), json!({}));
        let own = ("origin", "http://evil.example");
        export(&orchestrator, path, &[json, own], "{}").await.error(403);
        assert_eq!(get(&orchestrator, path).await.status, 405);
    }
    orchestrator.shutdown().await;
}
