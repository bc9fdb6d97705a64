//! Events of a task: 1.0b30 accepts them; 1.0b12 does not know them, and the task continues.

use std::time::Duration;

use avtomatika_worker::WorkerConfig;
use avtomatika_worker::prelude::*;
use e2e::{LIMIT, Orchestrator, Request, Version, until};
use serde_json::json;

with_both_orchestrators!(events_are_sent_as_requests, events_are_sent_over_the_websocket);

async fn send_events(context: TaskContext) -> Result<(), TaskError> {
    context.send_event("note", json!({ "text": "první" }))?;
    assert!(context.send_event("note", json!({ "text": 2 })).is_err(), "the schema requires a text");
    context.send_event("done", json!({ "share": 1.0 }))?;
    Ok(())
}

/// Runs a worker with the task `tell` until `judge`, which inspects the orchestrator, has returned.
fn beside_worker(orchestrator: &Orchestrator, websocket: &str, judge: impl FnOnce() + Send + 'static) {
    let variables = [
        ("ORCHESTRATOR_URL", orchestrator.url()),
        ("WORKER_TOKEN", orchestrator.worker_token().to_owned()),
        ("WORKER_ID", "teller".to_owned()),
        ("HEARTBEAT_INTERVAL", "1".to_owned()),
        ("WORKER_ENABLE_WEBSOCKETS", websocket.to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let note =
        json!({ "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"] });
    let options = TaskOptions::new().event("note", note).event("done", json!({ "type": "object" }));
    let worker = Worker::builder()
        .config(WorkerConfig::from_variables(variables))
        .task_with("tell", options, send_events)
        .build()
        .expect("a worker");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let judged = tokio::task::spawn_blocking(judge);
        let stop = async { judged.await.expect("the assertions hold") };
        let stopped = tokio::time::timeout(Duration::from_secs(60), worker.run_until(stop));
        stopped.await.expect("it ends").expect("it could run");
    });
}

fn is_event(request: &Request) -> bool {
    request.path == "/_worker/events"
}

fn events_are_sent_as_requests(version: Version) {
    let orchestrator = std::sync::Arc::new(Orchestrator::start(version));
    let watched = orchestrator.clone();
    beside_worker(&orchestrator, "false", move || {
        watched.wait_for_worker("teller");
        let job = watched.submit("tell", &json!({}));
        watched.wait_for_status(&job, "finished");
        let events = watched.requests().into_iter().filter(is_event).map(|event| event.status);
        let wanted: &[u16] = if version == Version::V1_0b30 { &[200, 200] } else { &[] };
        assert_eq!(events.collect::<Vec<_>>(), wanted);
    });
}

fn events_are_sent_over_the_websocket(version: Version) {
    let orchestrator = std::sync::Arc::new(Orchestrator::start(version));
    let watched = orchestrator.clone();
    beside_worker(&orchestrator, "true", move || {
        until("the websocket is open", LIMIT, || {
            let worker = watched.worker("teller")?;
            (worker["capabilities"]["websockets"] == true).then_some(())
        });
        let job = watched.submit("tell", &json!({}));
        watched.wait_for_status(&job, "finished");
        assert_eq!(watched.count(is_event), 0);
    });
}
