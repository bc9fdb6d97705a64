//! Stories, earlier tries and figures.

use serde_json::{Value, json};

use super::*;
use crate::story::Way;

fn submitted_running(params: Value) -> (Bench, Assignment) {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    bench.submit(NewTask::new("x").with_params(params));
    bench.pass(1);
    bench.poll("w");
    let task = bench.take_one();
    (bench, task)
}

fn transfer(bench: &mut Bench, way: Way, key: &str, seconds: u64) {
    let began = bench.now.instant;
    bench.pass(seconds);
    bench.act(|jobs, now| jobs.on_transfer(way, "b", key, began, now));
}

fn progress(bench: &mut Bench, task: &Assignment, progress: f64) {
    let (job_id, task_id) = (Some(task.job_id.to_string()), Some(task.task_id.to_string()));
    let message = format!("at {progress}");
    let report = ProgressReport { worker_id: worker("w"), job_id, task_id, progress, message };
    bench.act(|jobs, now| jobs.on_progress(&report, now)).expect("it runs");
}

#[test]
fn the_story_of_a_task_with_files_has_all_phases() {
    let (mut bench, task) = submitted_running(json!({"image": "s3://b/in/a.png"}));
    bench.pass(2);
    bench.deliver(&task);
    transfer(&mut bench, Way::Inputs, "in/a.png", 3);
    transfer(&mut bench, Way::Inputs, "in/a.png", 1);
    transfer(&mut bench, Way::Inputs, "in/other.png", 1);
    bench.pass(4);
    progress(&mut bench, &task, 0.5);
    bench.pass(1);
    transfer(&mut bench, Way::Outputs, &format!("{}/out.png", task.task_id), 5);
    transfer(&mut bench, Way::Outputs, &format!("{}/more.png", task.job_id), 1);
    bench.pass(6);
    bench.report("w", &task, "success", None);
    // A person downloads the outputs.
    transfer(&mut bench, Way::Inputs, &format!("{}/out.png", task.task_id), 1);

    let story = bench.story(task.number);
    let told: Vec<(&str, f64)> = story["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| (event["event"].as_str().expect("a text"), event["seconds"].as_f64().expect("a number")))
        .collect();
    assert_eq!(
        told,
        [
            ("submitted", 0.0),
            ("offered", 1.0),
            ("delivered", 2.0),
            ("inputs_fetched", 4.0),
            ("started", 0.0),
            ("progress", 5.0),
            ("outputs_sent", 7.0),
            ("result", 6.0),
        ]
    );
    let expected = json!({
        "queued": 3.0, "inputs": 4.0, "handler": 6.0, "outputs": 6.0, "result": 6.0, "total": 25.0,
    });
    assert_eq!(story["durations"], expected);
    let events = story["events"].as_array().expect("a list");
    for (index, event) in events.iter().enumerate() {
        assert_eq!((&event["n"], &event["task_id"]), (&json!(index + 1), &json!(task.task_id)));
    }
    assert_eq!((&events[3]["source"], &events[3]["requests"]), (&json!("storage"), &json!(2)));
    assert_eq!((&events[5]["progress"], &events[5]["message"]), (&json!(0.5), &json!("at 0.5")));
    assert_eq!((&events[7]["status"], events[7].get("error")), (&json!("success"), None));
    assert_eq!((events[0].get("worker_id"), &events[7]["worker_id"]), (None, &json!("w")));
    assert!((events[7]["at"].as_f64().expect("a number") - 1_700_000_025.0).abs() < 0.001);
}

#[test]
fn a_worker_without_files_has_a_handler_and_nothing_else() {
    let (mut bench, task) = submitted_running(json!({}));
    assert_eq!(bench.told(task.number), ["submitted", "offered"]);
    assert_eq!(bench.story(task.number)["durations"]["queued"], Value::Null, "not known yet");
    bench.deliver(&task);
    bench.pass(5);
    bench.report("w", &task, "success", None);
    assert_eq!(bench.told(task.number), ["submitted", "offered", "delivered", "started", "result"]);
    let expected =
        json!({"queued": 1.0, "inputs": null, "handler": 5.0, "outputs": null, "result": null, "total": 6.0});
    assert_eq!(bench.story(task.number)["durations"], expected);
}

#[test]
fn tries_are_told_one_after_the_other() {
    let (mut bench, first) = submitted_running(json!({}));
    bench.act(|jobs, now| jobs.on_undelivered(first.number, first.attempt, now));
    bench.poll("w");
    let first = bench.take_one();
    bench.deliver(&first);
    bench.pass(2);
    bench.report("w", &first, "failure", Some("TRANSIENT_ERROR"));
    bench.poll("w");
    let second = bench.take_one();
    bench.deliver(&second);
    bench.pass(300 + 1);
    assert_eq!(
        bench.told(first.number),
        [
            "submitted",
            "offered",
            "requeued",
            "offered",
            "delivered",
            "started",
            "result",
            "requeued",
            "offered",
            "delivered",
            "started",
            "result",
            "requeued",
        ]
    );
    let story = bench.story(first.number);
    assert_eq!(story["events"][2]["reason"], "not delivered: the connection of `w` ended");
    assert_eq!(story["events"][6]["error"], json!({"code": "TRANSIENT_ERROR", "message": "why"}));
    assert_eq!(story["events"][7]["reason"], "TRANSIENT_ERROR: why");
    assert_eq!(story["events"][11]["source"], "orchestrator");
    assert_eq!(story["events"][12]["reason"], "TIMEOUT_ERROR: no result within 300 s");
    assert_eq!(story["events"][8]["task_id"], json!(second.task_id));
    assert_eq!(story["durations"]["total"], Value::Null);

    let tries = serde_json::to_value(bench.view(first.number).tries).expect("JSON");
    assert_eq!(tries.as_array().map(Vec::len), Some(2));
    let earlier = &tries[0];
    assert_eq!((&earlier["task_id"], &earlier["worker_id"]), (&json!(first.task_id), &json!("w")));
    assert_eq!(
        (&earlier["status"], &earlier["error"]["code"]),
        (&json!("failure"), &json!("TRANSIENT_ERROR"))
    );
    assert_eq!(
        (&earlier["started_at"], &earlier["ended_at"]),
        (&json!(1_700_000_001.0), &json!(1_700_000_003.0))
    );
    assert_eq!(tries[1]["error"]["code"], "TIMEOUT_ERROR");
}

#[test]
fn a_cancellation_is_told_as_it_was_requested_and_answered() {
    let (mut bench, task) = submitted_running(json!({}));
    for _ in 0..2 {
        bench.act(|jobs, now| jobs.cancel(task.job_id.as_str(), now)).expect("it runs");
    }
    bench.pass(1);
    bench.report("w", &task, "cancelled", None);
    assert_eq!(bench.told(task.number), ["submitted", "offered", "cancel_requested", "result", "cancelled"]);
    assert_eq!(bench.story(task.number)["durations"]["total"], 2.0);
    let waiting = bench.submit(NewTask::new("y"));
    let id = bench.view(waiting).job_id;
    bench.pass(3);
    bench.act(|jobs, now| jobs.cancel(id.as_str(), now)).expect("it waits");
    assert_eq!(bench.told(waiting), ["submitted", "cancelled"]);
    assert_eq!(bench.story(waiting)["durations"]["queued"], 3.0);
}

#[test]
fn faults_are_told_even_after_the_end() {
    let (mut bench, task) = submitted_running(json!({}));
    bench.report("w", &task, "success", None);
    bench.act(|jobs, now| jobs.on_fault(task.task_id.as_str(), "lose_ack", now));
    bench.act(|jobs, now| jobs.on_fault("task-x", "lose_ack", now));
    let events = &bench.story(task.number)["events"];
    let last = events.as_array().and_then(|events| events.last()).expect("events");
    assert_eq!((&last["event"], &last["name"]), (&json!("fault"), &json!("lose_ack")));
    assert_eq!(last["task_id"], json!(task.task_id));
}

#[test]
fn a_story_leaves_out_the_oldest_progress_and_nothing_else() {
    let (mut bench, task) = submitted_running(json!({}));
    bench.deliver(&task);
    for step in 0..2000 {
        progress(&mut bench, &task, f64::from(step) / 2000.0);
    }
    bench.report("w", &task, "success", None);
    let told = bench.told(task.number);
    assert_eq!(told.len(), 1001, "1,000 and the start, which is not stored");
    assert_eq!(told[..4], ["submitted", "offered", "delivered", "started"]);
    assert_eq!(told[1000], "result");
    let story = bench.story(task.number);
    assert_eq!(story["dropped"], 2000 - 996);
    assert_eq!(story["events"][4]["progress"], f64::from(2000 - 996) / 2000.0);
    for _ in 0..2000 {
        bench.act(|jobs, now| jobs.on_fault(task.task_id.as_str(), "slow", now));
    }
    let told = bench.told(task.number);
    assert_eq!((told.len(), told[0].as_str()), (1000, "submitted"));
}

#[test]
fn figures_count_what_happened_in_each_second() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    bench.submit(NewTask::new("x"));
    bench.submit(NewTask::new("x"));
    bench.submit(NewTask::new("y"));
    bench.pass(1);
    bench.run("w", "success", None);
    bench.pass(1);
    bench.run("w", "failure", Some("PERMANENT_ERROR"));
    bench.pass(2);
    let (now, seconds) = bench.act(|jobs, now| jobs.seconds(0.0, now));
    assert!((now - 1_700_000_004.0).abs() < 0.001);
    let figures = serde_json::to_value(&seconds).expect("JSON");
    let expected = json!([
        {"at": 1_700_000_000_u64, "submitted": 3, "finished": 0, "failed": 0, "cancelled": 0, "running": 0, "queued": 3,
            "p50": null, "p95": null},
        {"at": 1_700_000_001_u64, "submitted": 0, "finished": 1, "failed": 0, "cancelled": 0, "running": 0, "queued": 2,
            "p50": 1.0, "p95": 1.0},
        {"at": 1_700_000_002_u64, "submitted": 0, "finished": 0, "failed": 1, "cancelled": 0, "running": 0, "queued": 1,
            "p50": 2.0, "p95": 2.0},
        {"at": 1_700_000_003_u64, "submitted": 0, "finished": 0, "failed": 0, "cancelled": 0, "running": 0, "queued": 1,
            "p50": null, "p95": null},
    ]);
    assert_eq!(figures, expected);
}
