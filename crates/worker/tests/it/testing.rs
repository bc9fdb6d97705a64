//! Tasks in a test, without an orchestrator.

use std::time::Duration;

use avtomatika_worker::middleware::{Next, from_fn};
use avtomatika_worker::prelude::*;
use avtomatika_worker::testing::TestWorker;
use serde_json::json;

use crate::support::tasks;

#[tokio::test]
async fn a_task_runs_with_its_layers_and_state() {
    #[derive(Clone)]
    struct Mark(&'static str);
    let builder = Worker::builder()
        .task("marked", async |State(state): State<u8>, Extension(mark): Extension<Mark>| {
            Json(json!({"state": state, "mark": mark.0}))
        })
        .with_state(7)
        .layer(from_fn(async |mut request: TaskRequest, next: Next| {
            request.extensions_mut().insert(Mark("injected"));
            next.run(request).await
        }));
    let run = TestWorker::new::<()>(builder).task("marked").run().await;
    assert_eq!((run.status(), run.data()), ("success", &json!({"state": 7, "mark": "injected"})));
}

async fn panics() {
    panic!("boom")
}

#[tokio::test]
async fn whatever_can_become_of_a_task_becomes_of_it() {
    let builder =
        tasks().task("fails", async || Err::<(), _>(TaskError::permanent("no"))).task("panics", panics);
    let worker = TestWorker::new(builder);
    let run = worker.task("fails").run().await;
    assert_eq!(
        (run.status(), run.error_code(), run.error_message()),
        ("failure", Some("PERMANENT_ERROR"), Some("no"))
    );
    assert_eq!(worker.task("panics").run().await.error_code(), Some("TRANSIENT_ERROR"));
    assert_eq!(worker.task("unknown").run().await.error_code(), Some("TRANSIENT_ERROR"));
    assert_eq!(worker.task("echo").params("no object").run().await.error_code(), Some("INVALID_INPUT_ERROR"));
    let long = json!({"seconds": 100});
    for name in ["sleep", "block"] {
        let run = worker.task(name).params(&long).cancelled_after(Duration::from_millis(20)).run().await;
        assert_eq!(run.status(), "cancelled", "{name}");
    }
    let run = worker.task("sleep").params(&long).deadline(Duration::from_millis(20)).run().await;
    assert_eq!(run.error_code(), Some("TIMEOUT_ERROR"));
    assert_eq!(worker.task("echo").params(json!({"a": 1})).run().await.data(), &json!({"a": 1}));
}

#[tokio::test]
async fn what_it_told_is_there_to_be_looked_at() {
    let builder = Worker::builder::<()>().task("tells", async |context: TaskContext| {
        context.send_progress(0.5, "half");
        context.send_event("note", json!({"n": context.priority()}))?;
        context.add_to_hot_cache("model");
        Ok::<_, TaskError>(())
    });
    let worker = TestWorker::new(builder);
    let (one, two) =
        tokio::join!(worker.task("tells").priority(1.0).run(), worker.task("tells").priority(2.0).run());
    for (run, number) in [(one, 1.0), (two, 2.0)] {
        assert_eq!(run.progress(), [(0.5, "half".to_owned())]);
        assert_eq!(run.events(), [("note".to_owned(), json!({"n": number}))]);
    }
    assert_eq!(worker.hot_cache(), ["model"]);
}

#[tokio::test]
async fn what_is_shown_of_a_run_is_the_same_each_time() {
    let worker = TestWorker::new(tasks().task("fails", async |context: TaskContext| {
        context.send_progress(0.5, "half");
        Err::<(), _>(TaskError::permanent("no").with_details(json!({"why": 7})))
    }));
    let run = worker.task("fails").run().await;
    assert!(run.result()["security"].is_object() && run.result()["nonce"].is_string(), "as it is sent");
    let shown = format!("{run:?}");
    for part in ["PERMANENT_ERROR", "\"why\":7", "progress", "half"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for part in ["nonce", "signature", "timestamp"] {
        assert!(!shown.contains(part), "{part}: {shown}");
    }
}
