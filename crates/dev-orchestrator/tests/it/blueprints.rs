//! Jobs of blueprints.

use std::time::Duration;

use avtomatika_dev::{Blueprint, DevOrchestrator, NewTask, Settings, TaskStatus};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::{Worker, get, in_time, post, submit};

const TWO_STEP: &str = r#"
    name = "two_step"
    start = "first"
    [states.first]
    task = "resize"
    params = { image = "$.image", width = 10, options = [{ exact = "$.exact" }] }
    on = { success = "second", failure = "failed", needs_review = "failed" }
    [states.second]
    task = "notify"
    params = { image = "$.image", to = "$.result.to" }
    on = { success = "finished" }
"#;

/// Goes to `again` after a failure, and round in a circle after `more`.
const CIRCLE: &str = r#"
    name = "circle"
    start = "first"
    [states.first]
    task = "resize"
    on = { success = "finished", more = "first", failure = "again", cancelled = "clean" }
    [states.again]
    task = "resize"
    on = { success = "finished" }
    [states.clean]
    task = "notify"
    on = { success = "failed" }
"#;

async fn start_with(settings: Settings) -> (DevOrchestrator, Worker) {
    let settings = settings.without_storage().with_retry_delay(Duration::ZERO);
    let blueprint = |text| Blueprint::from_toml(text).expect("a blueprint");
    let settings = settings.with_blueprint(blueprint(TWO_STEP)).with_blueprint(blueprint(CIRCLE));
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["resize", "notify"]).await;
    (orchestrator, worker)
}

async fn start() -> (DevOrchestrator, Worker) {
    start_with(Settings::new()).await
}

async fn view(orchestrator: &DevOrchestrator, id: &str) -> Value {
    get(orchestrator, &format!("/api/tasks/{id}")).await.json()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Returns the states and statuses of the path in a view.
fn path(view: &Value) -> Vec<(&str, &str)> {
    let steps = view["job"]["path"].as_array().expect("a path");
    steps.iter().map(|step| (text(&step["state"]), text(&step["status"]))).collect()
}

#[tokio::test]
async fn a_job_goes_from_state_to_state_with_its_data() {
    let (orchestrator, worker) = start().await;
    let body = r#"{"job": "two_step", "params": {"image": "a.png", "exact": 12345678901234567890123, "more": 1},
        "priority": 3, "timeout": 50}"#;
    let answer = post(&orchestrator, "/api/tasks", body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (202, &json!("queued")));
    let id = answer.json()["job_id"].as_str().expect("a text").to_owned();

    let answer = worker.poll_for("20").await;
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let params = r#""params":{"image":"a.png","options":[{"exact":12345678901234567890123}],"width":10}"#;
    assert!(text.contains(params), "{text}");
    let first = answer.json();
    assert_eq!((&first["type"], &first["priority"]), (&json!("resize"), &json!(3.0)));
    let running = view(&orchestrator, &id).await;
    assert_eq!((&running["job"]["name"], &running["job"]["state"]), (&json!("two_step"), &json!("first")));
    assert_eq!(path(&running), [("first", "running")]);
    worker.result(&first, json!({"data": {"image": "b.png", "result": {"to": [1.5]}}})).await;

    let between = view(&orchestrator, &id).await;
    assert_eq!(
        (&between["status"], &between["type"], &between["job"]["state"]),
        (&json!("queued"), &json!("notify"), &json!("second"))
    );
    assert_eq!(
        (&between["data"], &between["progress"]),
        (&Value::Null, &Value::Null),
        "nothing of the step before"
    );
    let second = worker.task().await;
    assert_eq!((&second["type"], &second["priority"]), (&json!("notify"), &json!(3.0)));
    assert_eq!(second["params"], json!({"image": "b.png", "to": [1.5]}), "its data are laid over the job's");
    assert_eq!(second["job_id"], first["job_id"]);
    assert_ne!(second["task_id"], first["task_id"]);
    let late = worker.result(&first, json!({})).await;
    assert_eq!(late["reason"], "stale_task");
    worker.result(&second, json!({"data": {"sent": true}})).await;

    let ended = view(&orchestrator, &id).await;
    assert_eq!((&ended["status"], &ended["data"]), (&json!("finished"), &json!({"sent": true})));
    assert_eq!((&ended["job"]["state"], &ended["timeout"]), (&json!("finished"), &json!(50.0)));
    assert_eq!(path(&ended), [("first", "success"), ("second", "success")]);
    let steps = ended["job"]["path"].as_array().expect("a list");
    assert_eq!((&steps[0]["task_id"], &steps[1]["task_id"]), (&first["task_id"], &second["task_id"]));
    assert!(steps[0]["at"].as_f64() <= steps[1]["at"].as_f64(), "{steps:?}");
    let params = r#"{"image": "a.png", "exact": 12345678901234567890123, "more": 1}"#;
    let whole = get(&orchestrator, &format!("/api/tasks/{id}")).await;
    assert!(String::from_utf8_lossy(&whole.body).contains(params), "the job's own, unchanged");
    let list = get(&orchestrator, "/api/tasks").await.json();
    assert_eq!(list["tasks"][0]["job"]["name"], "two_step");
    assert_eq!(list["tasks"][0]["job"].get("params"), None, "lists have no payloads");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_status_decides_which_state_follows_and_one_without_an_entry_fails_the_job() {
    let (orchestrator, worker) = start().await;
    for (status, state) in [("needs_review", "failed"), ("strange", "failed"), ("finished", "failed")] {
        let id = submit(&orchestrator, r#"{"job": "two_step", "params": {"image": 1, "exact": 2}}"#).await;
        worker.run(json!({"status": status})).await;
        let ended = view(&orchestrator, &id).await;
        assert_eq!((&ended["status"], &ended["job"]["state"]), (&json!("failed"), &json!(state)), "{status}");
        assert_eq!(path(&ended), [("first", status)]);
        let message = ended["error"]["message"].as_str().unwrap_or_default();
        let expected = format!("`states.first.on` has no entry for `{status}`");
        assert_eq!(message == expected, status != "needs_review", "{message}");
    }
    // A failure of a worker without an entry: its own error stays.
    let id = submit(&orchestrator, r#"{"job": "circle"}"#).await;
    let error = json!({"code": "PERMANENT_ERROR", "message": "broken"});
    worker.run(json!({"status": "failure", "error": error})).await;
    assert_eq!(view(&orchestrator, &id).await["job"]["state"], "again", "`failure` has an entry in `first`");
    worker.run(json!({"status": "failure", "error": error})).await;
    let ended = view(&orchestrator, &id).await;
    assert_eq!((&ended["status"], &ended["error"]["message"]), (&json!("failed"), &json!("broken")));
    assert_eq!(path(&ended), [("first", "failure"), ("again", "failure")]);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_within_its_state() {
    let (orchestrator, worker) = start_with(Settings::new().with_max_retries(1)).await;
    let id = submit(&orchestrator, r#"{"job": "circle"}"#).await;
    let failure = json!({"status": "failure", "error": {"code": "TRANSIENT_ERROR", "message": "not now"}});
    let first = worker.run(failure.clone()).await;
    let tried = view(&orchestrator, &id).await;
    assert_eq!((&tried["job"]["state"], &tried["status"]), (&json!("first"), &json!("queued")));
    let second = worker.run(failure.clone()).await;
    assert_eq!(second["job_id"], first["job_id"]);
    let next = view(&orchestrator, &id).await;
    assert_eq!(path(&next), [("first", "failure"), ("again", "queued")]);
    assert_eq!(next["job"]["path"][0]["task_id"], second["task_id"], "the last try");
    assert_eq!(next["tries"].as_array().map(Vec::len), Some(1));
    // The next state has all of its tries.
    worker.run(failure).await;
    assert_eq!(view(&orchestrator, &id).await["job"]["state"], "again");
    worker.run(json!({})).await;
    assert_eq!(view(&orchestrator, &id).await["status"], "finished");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_circle_ends_after_a_hundred_steps() {
    let (orchestrator, worker) = start().await;
    let id = submit(&orchestrator, r#"{"job": "circle"}"#).await;
    for _ in 0..100 {
        worker.run(json!({"status": "more"})).await;
    }
    let ended = in_time(orchestrator.wait(&id)).await.expect("known");
    assert_eq!(ended.status, TaskStatus::Failed);
    assert!(ended.error.expect("a reason").message.contains("100 steps"));
    assert_eq!(ended.job.expect("a job").path.len(), 100);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn data_that_a_state_needs_and_nobody_gave_are_named() {
    let (orchestrator, worker) = start().await;
    let text =
        post(&orchestrator, "/api/tasks", r#"{"job": "two_step", "params": {"image": 1}}"#).await.error(400);
    assert_eq!(text, "`states.first.params`: the data of the job have no `$.exact`");
    let id = submit(&orchestrator, r#"{"job": "two_step", "params": {"image": 1, "exact": 2}}"#).await;
    worker.run(json!({"data": {"result": "no object"}})).await;
    let ended = view(&orchestrator, &id).await;
    assert_eq!((&ended["status"], &ended["job"]["state"]), (&json!("failed"), &json!("failed")));
    assert_eq!(
        ended["error"]["message"],
        "`states.second.params`: the data of the job have no `$.result.to`"
    );
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_job_can_be_cancelled_in_every_state() {
    let (orchestrator, worker) = start().await;
    let start = r#"{"job": "two_step", "params": {"image": 1, "exact": 2}}"#;
    let cancel = async |id: &str| post(&orchestrator, &format!("/api/tasks/{id}/cancel"), "").await.json();
    // While it waits for its second step.
    let id = submit(&orchestrator, start).await;
    worker.run(json!({"data": {"result": {"to": 1}}})).await;
    assert_eq!(cancel(&id).await["status"], "cancelled");
    let ended = view(&orchestrator, &id).await;
    assert_eq!((&ended["status"], &ended["job"]["state"]), (&json!("cancelled"), &json!("second")));
    assert_eq!(path(&ended), [("first", "success"), ("second", "cancelled")]);
    // While its first step runs, and whatever the worker answers: there is no second one.
    let failure = json!({"status": "failure", "error": {"code": "TRANSIENT_ERROR", "message": "late"}});
    for answer in [json!({"status": "cancelled"}), json!({"data": {"result": {"to": 1}}}), failure] {
        let id = submit(&orchestrator, start).await;
        let task = worker.task().await;
        assert_eq!(cancel(&id).await["status"], "cancel_requested");
        worker.result(&task, answer.clone()).await;
        let ended = view(&orchestrator, &id).await;
        assert_eq!(
            (&ended["status"], &ended["job"]["state"]),
            (&json!("cancelled"), &json!("first")),
            "{answer}"
        );
    }
    // A blueprint can have a state for it.
    let id = submit(&orchestrator, r#"{"job": "circle"}"#).await;
    let task = worker.task().await;
    cancel(&id).await;
    worker.result(&task, json!({"status": "cancelled"})).await;
    let cleaning = view(&orchestrator, &id).await;
    assert_eq!((&cleaning["job"]["state"], &cleaning["cancel_requested"]), (&json!("clean"), &json!(false)));
    worker.run(json!({})).await;
    assert_eq!(view(&orchestrator, &id).await["status"], "failed");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_job_is_retried_from_its_beginning_with_its_own_params_or_others() {
    let (orchestrator, worker) = start().await;
    let id = submit(&orchestrator, r#"{"job": "two_step", "params": {"image": 1.0, "exact": 2}}"#).await;
    worker.run(json!({"data": {"image": "other", "result": {"to": 1}}})).await;
    worker.run(json!({})).await;
    let retry = async |body: &str| post(&orchestrator, &format!("/api/tasks/{id}/retry"), body).await;
    let again = retry("{}").await.json();
    assert_eq!(again["of"], id);
    let task = worker.task().await;
    assert_eq!((&task["type"], &task["params"]["image"]), (&json!("resize"), &json!(1.0)));
    let other = retry(r#"{"params": {"image": 3, "exact": 4}}"#).await.json();
    let task = worker.task().await;
    assert_eq!(task["params"], json!({"image": 3, "options": [{"exact": 4}], "width": 10}));
    let shown = view(&orchestrator, other["job_id"].as_str().expect("a text")).await;
    assert_eq!(shown["job"]["params"], json!({"image": 3, "exact": 4}));
    retry(r#"{"params": {"image": 3}}"#).await.error(400);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_story_of_a_job_tells_all_of_its_steps() {
    let (orchestrator, worker) = start().await;
    let id = submit(&orchestrator, r#"{"job": "two_step", "params": {"image": 1, "exact": 2}}"#).await;
    let first = worker.run(json!({"data": {"result": {"to": 1}}})).await;
    let second = worker.run(json!({})).await;
    let story = get(&orchestrator, &format!("/api/tasks/{id}/story")).await.json();
    let events = story["events"].as_array().expect("a list");
    let told: Vec<_> =
        events.iter().map(|event| (event["event"].as_str().expect("a text"), &event["task_id"])).collect();
    let of =
        |task: &'static [&'static str], id| task.iter().map(move |event| (*event, id)).collect::<Vec<_>>();
    let mut expected = of(&["submitted", "offered", "delivered", "started", "result"], &first["task_id"]);
    expected.extend(of(&["entered", "offered", "delivered", "started", "result"], &second["task_id"]));
    assert_eq!(told, expected);
    assert_eq!(events[5]["state"], "second");
    let durations = &story["durations"];
    assert!(durations["queued"].as_f64() <= durations["total"].as_f64(), "{durations}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn what_is_no_job_is_refused_with_what_was_expected() {
    let (orchestrator, _) = start().await;
    for (body, expected) in [
        (
            r#"{"job": "three_step"}"#,
            "`job` is `three_step`, but the server has no such blueprint, expected `circle` or `two_step`",
        ),
        (r#"{"job": "circle", "type": "resize"}"#, "`type` and `job`, expected one of them"),
        (r#"{"job": 5}"#, "`job`: invalid type: integer `5`, expected a string"),
        (r#"{"job": "circle", "params": [1]}"#, "`params` is `[1]`, expected an object"),
    ] {
        let text = post(&orchestrator, "/api/tasks", body).await.error(400);
        assert!(text.contains(expected), "{body}: {text}");
    }
    orchestrator.shutdown().await;
    let without = DevOrchestrator::start(Settings::new().without_storage()).await.expect("a free port");
    let text = post(&without, "/api/tasks", r#"{"job": "circle"}"#).await.error(400);
    assert!(text.contains("`circle`") && text.contains("`--blueprint FILE`"), "{text}");
    assert_eq!(get(&without, "/api/blueprints").await.json(), json!({"blueprints": []}));
    without.shutdown().await;
}

#[tokio::test]
async fn jobs_are_counted_hinted_at_and_followed_like_tasks() {
    let (orchestrator, worker) = start().await;
    let answer = post(&orchestrator, "/api/tasks", r#"{"job": "circle", "count": 3}"#).await;
    assert_eq!(answer.json()["tasks"].as_array().map(Vec::len), Some(3));
    let mut browser = Browser::open(&orchestrator).await;
    let snapshot = browser.next_of("snapshot").await;
    assert_eq!(snapshot.data["tasks"][0]["job"]["state"], "first");
    worker.run(json!({"status": "more"})).await;
    loop {
        let event = browser.next_of("task").await;
        if event.data["job"]["path"].as_array().map(Vec::len) == Some(2) {
            break;
        }
    }
    let list = get(&orchestrator, "/api/blueprints").await.json();
    assert_eq!(list["blueprints"][0]["name"], "circle");
    assert_eq!(list["blueprints"][1]["states"]["first"]["params"]["image"], "$.image");
    let view = orchestrator.tasks(1).remove(0);
    assert_eq!(view.job.expect("a job").name, "circle");
    orchestrator.submit(NewTask::job("circle")).expect("room");
    orchestrator.shutdown().await;
}
