//! What the conformance worker does with middleware.

use serde_json::{Value, json};
use testkit::{Endpoint, ScriptedOrchestrator};

use crate::support::{each, run, started};
#[tokio::test]
async fn the_conformance_worker_injects_by_one_middleware() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[("CONFORMANCE_MIDDLEWARE", "1")]).await;
    let task = testkit::task("injected", json!({"x": 1.0, "a": [null]}));
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    let context = json!({
        "task_id": task["task_id"], "job_id": task["job_id"], "task_name": "injected", "params": task["params"],
    });
    let expected = json!({"model_path": "/models/m1", "mw": ["enter", "exit"], "ctx": context});
    assert_eq!((&result["status"], &result["data"]), (&json!("success"), &expected));
    let caught = run(&orchestrator, "injected", json!({"raise": true})).await;
    assert_eq!((&caught["status"], &caught["error"]["code"]), (&json!("failure"), &json!("PERMANENT_ERROR")));
    let message = caught["error"]["message"].as_str().expect("a text");
    assert!(message.starts_with("middleware caught: ") && message.len() > 25, "{message}");
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
    assert_eq!(run(&orchestrator, "raise", json!({"message": "oh"})).await["error"]["message"], "oh");
}

#[tokio::test]
async fn the_conformance_worker_runs_two_middlewares_in_the_order_they_were_added() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[("CONFORMANCE_MIDDLEWARE", "2")]).await;
    let order = ["first-enter", "second-enter", "second-exit", "first-exit"];
    each(0..3, async |_| {
        let result = run(&orchestrator, "injected", json!({})).await;
        assert_eq!(result["data"], json!({"model_path": "/models/second", "mw": order}));
    })
    .await;
    let failed = run(&orchestrator, "injected", json!({"raise": true})).await;
    assert_eq!(failed["error"]["code"], "TRANSIENT_ERROR");
    assert_eq!(run(&orchestrator, "echo", json!({"a": 1})).await["data"], json!({"a": 1}));
}

#[tokio::test]
async fn without_its_variable_the_conformance_worker_has_no_injected_task() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[]).await;
    let registered = orchestrator.requests(Endpoint::Register).remove(0).json();
    assert!(!registered.to_string().contains("\"injected\""), "{registered}");
    let result: Value = run(&orchestrator, "injected", json!({})).await;
    assert_eq!(result["error"]["code"], "TRANSIENT_ERROR", "another worker may have it");
    assert!(result["error"]["message"].to_string().contains("injected"), "{result}");
}
