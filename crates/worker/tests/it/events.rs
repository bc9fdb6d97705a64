//! Events: checked, signed, sent in order and before the result.

use avtomatika_worker::WorkerHandle;
use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator};

use crate::support::{Running, TOKEN, config, run, tasks, until};

#[derive(serde::Deserialize)]
struct Told {
    /// Type, payload and priority.
    events: Vec<(String, Value, f64)>,
}

/// Sends one event after the other, and gives what was refused.
async fn tell(Params(told): Params<Told>, context: TaskContext) -> Json<Value> {
    let refused = told.events.into_iter().filter_map(|(event_type, payload, priority)| {
        context.send_event_with_priority(&event_type, payload, priority).err().map(|error| error.to_string())
    });
    Json(json!({"refused": refused.collect::<Vec<_>>()}))
}

fn declared() -> TaskOptions {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    TaskOptions::new().event("counted", schema)
}

async fn with(script: Script, variables: &[(&str, &str)]) -> (ScriptedOrchestrator, Running) {
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let builder = tasks().task("free", tell).task_with("declared", declared(), tell);
    let worker = builder.config(config(&orchestrator.url(), variables)).build().expect("a worker");
    (orchestrator, Running::start(worker))
}

#[tokio::test]
async fn they_are_signed_in_order_and_before_the_result() {
    let (orchestrator, _worker) = with(Script::newer(), &[]).await;
    let events: Vec<_> = (0..30).map(|n| json!(["tick", {"n": n}, n])).collect();
    let mut task = testkit::task("free", json!({"events": events}));
    task["tracing_context"] =
        json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
    orchestrator.push_task(&task);
    let result = orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    assert_eq!(result["data"]["refused"], json!([]));
    let requests = orchestrator.requests(Endpoint::Event);
    let numbers: Vec<_> = requests.iter().map(|request| request.json()["payload"]["n"].clone()).collect();
    assert_eq!(numbers, (0..30).map(|n| json!(n)).collect::<Vec<_>>());
    let event = requests[7].json();
    assert_eq!((&event["event_type"], &event["priority"]), (&json!("tick"), &json!(7.0)));
    assert_eq!((&event["target_task_id"], &event["target_job_id"]), (&result["task_id"], &result["job_id"]));
    assert_eq!(event["trace_context"], task["tracing_context"]);
    let signature = event["security"]["signature"].as_str().expect("a signature");
    let signer = rxon::signing::Signer::new(TOKEN);
    assert!(signer.verify(&requests[7].body, &rxon::signing::EVENT_IGNORES, signature));
    assert!(orchestrator.requests(Endpoint::Result)[0].at >= requests[29].at);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_where_it_is_sent() {
    let (orchestrator, _worker) = with(Script::newer(), &[]).await;
    let registration = orchestrator.wait_for_requests(Endpoint::Register, 1).await[0].json();
    let skills = registration["supported_skills"].as_array().expect("an array");
    let skill = skills.iter().find(|skill| skill["name"] == "declared").expect("it is told");
    assert_eq!(skill["events_schema"]["counted"]["required"], json!(["n"]));
    let events = json!([
        ["counted", {"n": 1}, 0.0], ["counted", {"n": "one"}, 0.0], ["other", {}, 0.0], ["progress", {}, 0.0],
        ["", {}, 0.0], ["counted", [1], 0.0]
    ]);
    let result = run(&orchestrator, "declared", json!({"events": events})).await;
    let refused = result["data"]["refused"].as_array().expect("an array");
    let wanted = [
        "`counted` does not fit its schema: at `n`: ",
        "`other` is not declared; the declared events are `counted`",
        "the event type `progress` is not valid",
        "the event type `` is not valid",
        "the payload of the event `counted` is an array, expected an object",
    ];
    assert_eq!(refused.len(), wanted.len(), "{refused:?}");
    for (message, wanted) in refused.iter().zip(wanted) {
        assert!(message.as_str().is_some_and(|message| message.contains(wanted)), "{message}");
    }
    assert_eq!(orchestrator.count(Endpoint::Event), 1);
}

#[tokio::test]
async fn what_is_not_declared_passes_when_the_check_is_not_strict() {
    let (orchestrator, _worker) = with(Script::newer(), &[("STRICT_EVENT_VALIDATION", "false")]).await;
    let result = run(&orchestrator, "declared", json!({"events": [["other", {}, 0.0]]})).await;
    assert_eq!(result["data"]["refused"], json!([]));
    assert_eq!(orchestrator.count(Endpoint::Event), 1);
}

#[tokio::test]
async fn the_older_generation_is_sent_none() {
    let (orchestrator, _worker) = with(Script::older(), &[]).await;
    let result = run(&orchestrator, "free", json!({"events": [["tick", {}, 0.0], ["", {}, 0.0]]})).await;
    assert_eq!(result["data"]["refused"].as_array().map(Vec::len), Some(1), "checked all the same");
    assert_eq!(orchestrator.count(Endpoint::Event) + orchestrator.count(Endpoint::Other), 0);
}

#[tokio::test]
async fn one_that_fails_is_tried_again_with_the_same_id() {
    for answer in [Answer::status(500), Answer::Reset, Answer::body("<html>log in</html>")] {
        let (orchestrator, _worker) = with(Script::newer(), &[]).await;
        orchestrator.answer_next(Endpoint::Event, answer);
        run(&orchestrator, "free", json!({"events": [["tick", {}, 0.0]]})).await;
        let events = orchestrator.requests(Endpoint::Event);
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].json()["event_id"], events[1].json()["event_id"]);
    }
}

#[tokio::test]
async fn one_that_arrived_although_nothing_was_said_to_it_is_no_loss() {
    let repetition = json!({"error": "Duplicate message detected (replay attack)"});
    for (first, refused) in [(Answer::Reset, 0), (Answer::status(500), 1)] {
        let logs = Logs::new();
        let _guard = logs.start();
        let (orchestrator, _worker) = with(Script::newer(), &[]).await;
        orchestrator.answer_always(Endpoint::Event, Answer::Json(403, repetition.clone()));
        orchestrator.answer_next(Endpoint::Event, first.clone());
        run(&orchestrator, "free", json!({"events": [["tick", {}, 0.0]]})).await;
        assert_eq!(logs.count("the orchestrator refused the event: 403"), refused, "{first:?}: {logs:?}");
        assert_eq!(logs.count("the event could not be sent"), 0, "{first:?}: {logs:?}");
    }
}

#[tokio::test]
async fn what_is_refused_or_lost_is_said_and_the_result_comes() {
    for (answer, message) in [
        (
            Answer::ok(json!({"status": "error", "code": "CONTRACT_VIOLATION_ERROR", "message": "no"})),
            "the orchestrator refused the event: CONTRACT_VIOLATION_ERROR: no",
        ),
        (Answer::status(403), "the orchestrator refused the event: 403: Forbidden"),
        (Answer::status(500), "the orchestrator refused the event: 500: Internal Server Error"),
        (Answer::body("<html>log in</html>"), "the orchestrator refused the event: 200 without JSON"),
        (Answer::Reset, "the event could not be sent, and is lost"),
    ] {
        let logs = Logs::new();
        let _guard = logs.start();
        let (orchestrator, _worker) = with(Script::newer(), &[]).await;
        orchestrator.answer_always(Endpoint::Event, answer.clone());
        let result = run(&orchestrator, "free", json!({"events": [["tick", {}, 0.0]]})).await;
        assert_eq!(result["status"], "success", "{answer:?}");
        assert_eq!(logs.count(message), 1, "{answer:?}: {logs:?}");
    }
}

#[tokio::test]
async fn while_too_many_are_sent_results_do_not_wait_and_the_loss_is_said() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = with(Script::newer(), &[]).await;
    orchestrator.answer_always(Endpoint::Event, Answer::status(429));
    let events: Vec<_> = (0..150).map(|n| json!(["tick", {"n": n}, 0.0])).collect();
    let result = run(&orchestrator, "free", json!({"events": events})).await;
    let refused = result["data"]["refused"].as_array().expect("an array");
    assert!((49..=50).contains(&refused.len()), "one may be on its way: {}", refused.len());
    assert!(refused[0].as_str().is_some_and(|why| why.starts_with("100 events of this task wait")));
    assert_eq!(logs.count("events could not be sent before the result, and are lost"), 1, "{logs:?}");
    assert_eq!(orchestrator.count(Endpoint::Event), 1);
}

fn ready_made(id: &str) -> Value {
    json!({
        "event_id": id, "worker_id": "w-1", "origin_worker_id": "w-1", "event_type": "tick",
        "payload": {"n": 1}, "timestamp": 1, "metadata": null,
    })
}

/// A worker that is registered, and its handle.
async fn registered(variables: &[(&str, &str)]) -> (ScriptedOrchestrator, Running, WorkerHandle) {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let worker = tasks().config(config(&orchestrator.url(), variables)).build().expect("a worker");
    let handle = worker.handle();
    let running = Running::start(worker);
    orchestrator.wait_for_open_polls(1).await;
    (orchestrator, running, handle)
}

fn is_signed_by_the_worker(body: &[u8]) -> bool {
    let event: Value = serde_json::from_slice(body).expect("JSON");
    let signature = event["security"]["signature"].as_str().expect("a signature");
    event["timestamp"] != 1
        && rxon::signing::Signer::new(TOKEN).verify(body, &rxon::signing::EVENT_IGNORES, signature)
}

#[tokio::test]
async fn a_ready_made_event_is_posted_and_signed_unless_it_has_a_signature() {
    let (orchestrator, _worker, handle) = registered(&[]).await;
    let mut signed = ready_made("e-2");
    signed["security"] = json!({"signature": "made elsewhere"});
    for event in [&ready_made("e-1"), &signed] {
        handle.emit_event(event).expect("accepted");
    }
    let requests = orchestrator.wait_for_requests(Endpoint::Event, 2).await;
    let first = requests[0].json();
    assert_eq!((&first["event_id"], &first["payload"]), (&json!("e-1"), &json!({"n": 1})));
    assert!(first.get("metadata").is_none() && is_signed_by_the_worker(&requests[0].body), "{first}");
    signed.as_object_mut().expect("an object").remove("metadata");
    assert_eq!(requests[1].json(), signed);
}

#[tokio::test]
async fn a_ready_made_event_goes_over_an_open_websocket() {
    let (orchestrator, _worker, handle) = registered(&[("WORKER_ENABLE_WEBSOCKETS", "true")]).await;
    orchestrator.wait_for_open_websockets(1).await;
    let frame = || orchestrator.websocket_frames().into_iter().find(|frame| frame["event_id"] == "e-1");
    // The orchestrator may know of the websocket before the worker does.
    until(|| {
        handle.emit_event(ready_made("e-1")).expect("accepted");
        frame().is_some()
    })
    .await;
    let frame = frame().expect("it was seen");
    assert!(is_signed_by_the_worker(frame.to_string().as_bytes()), "{frame}");
}

#[tokio::test]
async fn a_ready_made_event_that_nobody_hears_is_an_error() {
    let (orchestrator, worker) = with(Script::older(), &[]).await;
    worker.abandon();
    let worker = tasks().config(config(&orchestrator.url(), &[])).build().expect("a worker");
    let handle = worker.handle();
    let refused = || handle.emit_event(ready_made("e")).expect_err("refused").to_string();
    let wanted = "the worker is not registered with an orchestrator that knows events: the event is dropped";
    assert_eq!(refused(), wanted, "before it runs");
    let _worker = Running::start(worker);
    orchestrator.wait_for_open_polls(1).await;
    assert_eq!(refused(), wanted, "by an orchestrator of the older generation");
}

#[tokio::test]
async fn a_ready_made_event_that_is_refused_is_logged_and_not_repeated() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker, handle) = registered(&[]).await;
    orchestrator.answer_next(Endpoint::Event, Answer::status(500));
    handle.emit_event(ready_made("e-1")).expect("accepted");
    until(|| logs.count("an event of the worker was not delivered: 500: Internal Server Error") == 1).await;
    handle.emit_event(ready_made("e-2")).expect("accepted");
    let requests = orchestrator.wait_for_requests(Endpoint::Event, 2).await;
    assert_eq!(requests[1].json()["event_id"], "e-2");
}
