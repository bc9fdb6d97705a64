//! The schemas of tasks, enforced.

use avtomatika_worker::middleware::{Next, from_fn};
use avtomatika_worker::prelude::*;
use avtomatika_worker::testing::TestWorker;
use serde_json::{Value, json};

fn schema() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
}

/// Ends as its parameters say.
async fn ends(Params(params): Params<Value>) -> Outcome {
    let outcome = match params["status"].as_str() {
        Some("failed") => Outcome::Failed(TaskError::permanent("own").with_data(&params["data"])),
        status => Outcome::status(status.unwrap_or("success"), &params["data"]),
    };
    outcome.with_metadata(json!({"m": 1})).with_costs(json!({"c": 2}))
}

#[tokio::test]
async fn params_are_checked_before_the_layers_and_the_handler() {
    let options = || TaskOptions::new().input_schema(schema());
    let builder = Worker::builder()
        .task_with("enforced", options().enforce_input_schema(), async || ())
        .task_with("sent", options().enforce_output_schema(), async || ())
        .layer(from_fn(async |request: TaskRequest, next: Next| {
            next.run(request).await.with_field("layer", true)
        }));
    let worker = TestWorker::new::<()>(builder);
    for (name, params, status) in [
        ("enforced", json!({"n": 1, "other": [1.5]}), "success"),
        ("enforced", json!({"n": "x"}), "failure"),
        ("enforced", json!({}), "failure"),
        ("sent", json!({}), "success"),
    ] {
        let run = worker.task(name).params(&params).run().await;
        assert_eq!(run.status(), status, "{name}: {params}");
        if status == "success" {
            assert_eq!(run.data(), &json!({"layer": true}));
        } else {
            assert_eq!(run.error_code(), Some("INVALID_INPUT_ERROR"));
            assert!(run.error_message().is_some_and(|message| message.starts_with("invalid params")));
        }
    }
}

#[tokio::test]
async fn data_is_checked_whatever_the_status_unless_the_task_failed_by_itself() {
    let options = TaskOptions::new().output_schema(schema()).enforce_schemas();
    let worker = TestWorker::new::<()>(Worker::builder().task_with("ends", options, ends));
    let violation = Some("CONTRACT_VIOLATION_ERROR");
    for (params, status, code) in [
        (json!({"data": {"n": 1}}), "success", None),
        (json!({"data": {"n": 1}, "status": "later"}), "later", None),
        (json!({"data": {"n": "x"}}), "failure", violation),
        (json!({"data": {"n": "x"}, "status": "later"}), "failure", violation),
        (json!({"data": null}), "failure", violation),
        (json!({"data": {"n": "x"}, "status": "failed"}), "failure", Some("PERMANENT_ERROR")),
        (json!({"data": {"n": "x"}, "status": "failure"}), "failure", None),
    ] {
        let run = worker.task("ends").params(&params).run().await;
        assert_eq!((run.status(), run.error_code()), (status, code), "{params}");
        if code == violation && !params["data"].is_null() {
            let expected = r#"the data does not fit the output schema: at `n`: "x" is not of type "integer""#;
            assert_eq!(run.error_message(), Some(expected));
            let result = run.result();
            let problems = json!([{"path": "n", "problem": r#""x" is not of type "integer""#}]);
            assert_eq!(result["error"]["details"], json!({"problems": problems}));
            assert_eq!(result["data"], json!({"n": "x"}), "what came is sent beside the error");
            assert_eq!((&result["metadata"], &result["costs"]["c"]), (&json!({"m": 1}), &json!(2)));
        }
    }
}

#[tokio::test]
async fn a_schema_that_is_not_valid_is_not_enforced() {
    let options =
        TaskOptions::new().input_schema(json!({"type": 5})).output_schema(schema()).enforce_schemas();
    let worker = TestWorker::new::<()>(Worker::builder().task_with("ends", options, ends));
    assert_eq!(worker.task("ends").params(json!({"data": {"n": 1}})).run().await.status(), "success");
    let run = worker.task("ends").params(json!({"data": {}})).run().await;
    assert_eq!(run.error_code(), Some("CONTRACT_VIOLATION_ERROR"), "the other one is");
}
