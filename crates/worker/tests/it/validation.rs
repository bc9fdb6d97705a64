//! Parameters that are checked: their shape by serde, their rules by garde.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use avtomatika_worker::extract::Rejection;
use avtomatika_worker::prelude::*;
use garde::Validate;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::ScriptedOrchestrator;

use crate::support::{Running, config, run, started};

#[derive(Deserialize, Validate)]
#[garde(allow_unvalidated)]
struct Order {
    #[garde(range(min = 1))]
    width: i64,
    #[garde(length(min = 3), ascii)]
    source: String,
    #[serde(default)]
    #[garde(dive)]
    items: Vec<Item>,
    note: Option<String>,
}

#[derive(Deserialize, Validate)]
struct Item {
    #[garde(custom(even))]
    count: u8,
    #[serde(default)]
    #[garde(inner(length(max = 2)))]
    tags: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde gives references")]
fn even(count: &u8, (): &()) -> garde::Result {
    if count.is_multiple_of(2) { Ok(()) } else { Err(garde::Error::new("must be even")) }
}

/// What each order is allowed, which only the handler knows.
#[derive(Default)]
struct Limits {
    most: i64,
}

#[derive(Deserialize, Validate)]
#[garde(context(Limits as limits))]
struct Limited {
    #[garde(range(max = limits.most))]
    width: i64,
}

async fn worker() -> (ScriptedOrchestrator, Running, Arc<AtomicUsize>) {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let order = async move |Valid(Params(order)): Valid<Params<Order>>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Json(
            json!({"width": order.width, "source": order.source, "note": order.note, "items": order.items.len()}),
        )
    };
    let limited = async |Params(limited): Params<Limited>| -> Result<Json<Value>, TaskError> {
        limited.validate_with(&Limits { most: 5 }).map_err(Rejection::from)?;
        Ok(Json(json!({"width": limited.width})))
    };
    let blocks = |Valid(Params(item)): Valid<Params<Item>>| Json(json!({"tags": item.tags}));
    let builder = Worker::builder()
        .task("order", order)
        .task("limited", limited)
        .task("default", async |_: Valid<Params<Limited>>| ())
        .task("blocks", blocking(blocks));
    let orchestrator = ScriptedOrchestrator::start().await;
    let builder = builder.with_state(Arc::new(7)).config(config(&orchestrator.url(), &[]));
    (orchestrator, Running::start(builder.build().expect("a worker")), ran)
}

fn paths(result: &Value) -> Vec<(&str, &str)> {
    assert_eq!(
        (&result["status"], &result["error"]["code"]),
        (&json!("failure"), &json!("INVALID_INPUT_ERROR"))
    );
    let problems = result["error"]["details"]["problems"].as_array().expect("a list");
    let text = |value: &'_ Value| -> &'static str { value.as_str().expect("a text").to_owned().leak() };
    problems.iter().map(|problem| (text(&problem["path"]), text(&problem["problem"]))).collect()
}

#[tokio::test]
async fn what_obeys_the_rules_reaches_the_handler() {
    let (orchestrator, _worker, ran) = worker().await;
    let params = json!({"width": 1, "source": "url", "items": [{"count": 2}], "more": 1});
    let result = run(&orchestrator, "order", params).await;
    assert_eq!(result["data"], json!({"width": 1, "source": "url", "note": null, "items": 1}));
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn every_rule_that_is_broken_is_told_with_its_path() {
    let (orchestrator, _worker, ran) = worker().await;
    let params = json!({
        "width": 0, "source": "é",
        "items": [{"count": 2}, {"count": 3, "tags": ["ok", "too long"]}, {"count": 5}],
    });
    let result = run(&orchestrator, "order", params).await;
    let expected = [
        ("items[1].count", "must be even"),
        ("items[1].tags[1]", "length is greater than 2"),
        ("items[2].count", "must be even"),
        ("source", "length is lower than 3"),
        ("source", "not ascii"),
        ("width", "lower than 1"),
    ];
    assert_eq!(paths(&result), expected);
    let texts: Vec<String> =
        expected.iter().map(|(path, problem)| format!("at `{path}`: {problem}")).collect();
    assert_eq!(result["error"]["message"], format!("invalid params {}", texts.join("; ")));
    assert_eq!(ran.load(Ordering::Relaxed), 0, "the handler does not run");
}

#[tokio::test]
async fn one_broken_rule_reads_like_a_sentence() {
    let (orchestrator, _worker, _ran) = worker().await;
    for name in ["blocks", "order"] {
        let params = json!({"count": 3, "width": 1, "source": "url", "items": [{"count": 3}]});
        let message = run(&orchestrator, name, params).await["error"]["message"].clone();
        let path = if name == "blocks" { "count" } else { "items[0].count" };
        assert_eq!(message, format!("invalid params at `{path}`: must be even"));
    }
}

#[tokio::test]
async fn a_wrong_shape_is_told_first_and_with_its_path() {
    let (orchestrator, _worker, _ran) = worker().await;
    for (params, path, said) in [
        (json!({"width": 0}), ".", "missing field `source`"),
        (json!({"width": "x", "source": ""}), "width", "invalid type: string \"x\", expected i64"),
        (
            json!({"width": 0, "source": "", "items": [{"count": 2}, {"count": 300}]}),
            "items[1].count",
            "invalid value: integer `300`, expected u8",
        ),
    ] {
        let result = run(&orchestrator, "order", params).await;
        assert_eq!(paths(&result), [(path, said)]);
    }
}

#[tokio::test]
async fn rules_may_depend_on_what_the_handler_knows() {
    let (orchestrator, _worker, _ran) = worker().await;
    assert_eq!(run(&orchestrator, "limited", json!({"width": 5})).await["status"], "success");
    let result = run(&orchestrator, "limited", json!({"width": 6})).await;
    assert_eq!(paths(&result), [("width", "greater than 5")]);
    let result = run(&orchestrator, "default", json!({"width": 1})).await;
    assert_eq!(paths(&result), [("width", "greater than 0")]);
}

#[tokio::test]
async fn a_flood_of_problems_fails_the_task_by_its_own_code() {
    let (orchestrator, _worker, _ran) = worker().await;
    let items: Vec<Value> = (0..30_000).map(|_| json!({"count": 1})).collect();
    let result = run(&orchestrator, "order", json!({"width": 1, "source": "url", "items": items})).await;
    assert_eq!(paths(&result).len(), 1000);
    assert_eq!(result["error"]["details"]["omitted"], 29_000);
    let message = result["error"]["message"].as_str().expect("a text");
    assert!(message.ends_with("; and 29980 more") && message.len() < 2000, "{message}");
}

#[tokio::test]
async fn the_conformance_worker_validates_with_every_path() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let _process = started(&orchestrator, &[]).await;
    let valid = json!({"width": 2, "height": 3, "source_url": "u"});
    assert_eq!(run(&orchestrator, "validated", valid).await["data"], json!({"width": 2, "height": 3}));
    let result = run(&orchestrator, "validated", json!({"width": 0, "height": -3, "source_url": "u"})).await;
    assert_eq!(paths(&result), [("height", "lower than 1"), ("width", "lower than 1")]);
    let result = run(&orchestrator, "validated", json!({"width": 1, "height": 1})).await;
    assert_eq!(paths(&result), [(".", "missing field `source_url`")]);
    let result = run(&orchestrator, "validated", json!({"width": 1.5, "height": 1, "source_url": "u"})).await;
    assert_eq!(paths(&result).first().map(|problem| problem.0), Some("width"));
}
