//! The trace a task belongs to.

use avtomatika_worker::prelude::*;
use serde_json::json;
use testkit::ScriptedOrchestrator;
use testkit::capture::Logs;

use crate::support::{Running, both, config, tasks, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[tokio::test]
async fn every_line_of_a_task_says_which_trace_it_belongs_to() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[]).await;
    let mut task = testkit::task("echo", json!({}));
    task["tracing_context"] = json!({"traceparent": format!("00-{TRACE}-{SPAN}-01"), "tracestate": "a=b"});
    orchestrator.push_task(&task);
    until(|| logs.count("task ended") == 1).await;
    for line in
        logs.lines().iter().filter(|line| line.contains("task started") || line.contains("task ended"))
    {
        assert!(line.contains(TRACE) && line.contains(SPAN), "{line}");
    }
}

#[tokio::test]
async fn the_lines_of_a_handler_name_the_task_and_the_trace_it_belongs_to() {
    let logs = Logs::new();
    let _guard = logs.start();
    let says = async |RawParams(params): RawParams| tracing::info!("inside the handler: {}", params.get());
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = tasks().task("says", says).config(config(&orchestrator.url(), &[]));
    let _worker = Running::start(builder.build().expect("a worker"));
    for (number, name, traceparent, is_valid) in [
        (1, "traceparent", format!("00-{TRACE}-{SPAN}-01"), true),
        (2, "TraceParent", format!("00-{TRACE}-{SPAN}-00"), true),
        (3, "traceparent", format!("00-{TRACE}-garbage-01"), false),
    ] {
        let mut task = testkit::task("says", json!({"n": number}));
        task["tracing_context"] = json!({name: traceparent});
        orchestrator.push_task(&task);
        let text = |name: &str| task[name].as_str().expect("a text").to_owned();
        orchestrator.wait_for_result(&text("task_id")).await;
        let line = logs.wait_for(&format!(r#"inside the handler: {{"n":{number}}}"#)).await;
        let span = line.split_once("task{").expect("a span").1;
        for field in [format!("task_id={}", text("task_id")), format!("job_id={}", text("job_id"))] {
            assert!(span.contains(&field), "{field} in {line}");
        }
        for field in [format!("trace_id=\"{TRACE}\""), format!("parent_span_id=\"{SPAN}\"")] {
            assert_eq!(span.contains(&field), is_valid, "{field} in {line}");
        }
    }
}

#[tokio::test]
async fn what_is_no_trace_is_ignored() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[]).await;
    let mut task = testkit::task("echo", json!({}));
    task["tracing_context"] = json!({"traceparent": "00-\u{1b}[31m-nonsense"});
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["status"], "success");
    assert!(!logs.lines().iter().any(|line| line.contains('\u{1b}')), "{logs:?}");
}

#[cfg(feature = "opentelemetry")]
#[tokio::test]
async fn the_exported_span_is_a_child_of_the_tasks() {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt;

    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let (orchestrator, _worker) = both(&[]).await;
    let mut task = testkit::task("echo", json!({}));
    task["tracing_context"] = json!({"traceparent": format!("00-{TRACE}-{SPAN}-01")});
    orchestrator.push_task(&task);
    orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    let spans = || exporter.get_finished_spans().expect("exported");
    until(|| spans().iter().any(|span| span.name == "task")).await;
    let span = spans().into_iter().find(|span| span.name == "task").expect("the task's");
    assert_eq!(span.span_context.trace_id().to_string(), TRACE);
    assert_eq!(span.parent_span_id.to_string(), SPAN);
}
