//! Jobs of blueprints.

use std::sync::Arc;

use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::blueprint::Blueprint;

const LINE: &str = r#"{"name": "line", "start": "a", "states": {
    "a": {"task": "x", "params": {"n": "$.n"}, "on": {"success": "b"}},
    "b": {"task": "y", "params": {"n": "$.n"}, "on": {"success": "finished", "failure": "a"}}
}}"#;

fn bench() -> Bench {
    let blueprint = Blueprint::from_json(LINE).expect("a blueprint");
    let mut bench = Bench::with(
        Settings::new().with_retry_delay(Duration::ZERO).with_max_retries(1).with_blueprint(blueprint),
    );
    bench.register("w", &["x", "y"]);
    bench
}

fn submit(bench: &mut Bench) -> u64 {
    let settings = bench.jobs.settings.clone();
    let task = NewTask::job("line").with_params(json!({"n": 1})).check(&settings).expect("a job");
    bench.act(|jobs, now| jobs.submit(task, now)).expect("room")
}

fn state(bench: &Bench, number: u64) -> String {
    bench.view(number).job.expect("a job").state
}

#[test]
fn every_state_has_its_own_tries() {
    let mut bench = bench();
    let number = submit(&mut bench);
    bench.run("w", "failure", Some("TRANSIENT_ERROR"));
    bench.run("w", "success", None);
    assert_eq!(state(&bench, number), "b");
    bench.run("w", "failure", Some("TRANSIENT_ERROR"));
    assert_eq!(state(&bench, number), "b", "one more try");
    bench.run("w", "failure", Some("TRANSIENT_ERROR"));
    assert_eq!(state(&bench, number), "a");
    let task = bench.run("w", "success", None);
    assert_eq!(task.task_id.as_str().rsplit('-').next(), Some("5"), "every try has an id of its own");
    bench.run("w", "success", None);
    assert_eq!((bench.status(number), bench.view(number).attempts), (TaskStatus::Finished, 6));
    assert_eq!(bench.ended.len(), 1, "it ends once");
}

#[test]
fn a_step_whose_worker_falls_silent_is_tried_again_and_then_counts_as_a_failure() {
    let mut bench = bench();
    let number = submit(&mut bench);
    bench.run("w", "success", None);
    for _ in 0..2 {
        bench.register("w", &["x", "y"]);
        bench.poll("w");
        bench.take_one();
        bench.pass(61);
    }
    assert_eq!(state(&bench, number), "a");
    let job = bench.view(number).job.expect("a job");
    assert_eq!(
        job.path.iter().map(|step| step.status.as_str()).collect::<Vec<_>>(),
        ["success", "failure", "queued"]
    );
}

#[test]
fn a_later_step_waits_in_the_queue_of_its_own_task() {
    let mut bench = bench();
    let number = submit(&mut bench);
    bench.run("w", "success", None);
    bench.register("only-x", &["x"]);
    bench.poll("only-x");
    assert!(bench.take().is_empty());
    bench.register("only-y", &["y"]);
    bench.poll("only-y");
    assert_eq!(bench.take_one().number, number);
}

#[test]
fn a_job_whose_blueprint_is_gone_fails_with_the_reason() {
    let mut bench = bench();
    let number = submit(&mut bench);
    bench.jobs.settings.blueprints.clear();
    bench.run("w", "success", None);
    let view = bench.view(number);
    assert_eq!(view.status, TaskStatus::Failed);
    assert!(view.error.expect("a reason").message.contains("does not have the blueprint `line`"));
    let id = bench.jobs.store().names.job(number);
    let error = bench.act(|jobs, now| jobs.repeat(id.as_str(), None, now)).expect_err("no blueprint");
    assert!(error.to_string().contains("`line`"), "{error}");
}

#[test]
fn the_memory_of_a_job_has_its_data_in_it() {
    let mut bench = bench();
    let number = submit(&mut bench);
    let before = bench.jobs.store().weight();
    bench.poll("w");
    let task = bench.take_one();
    let data: Arc<RawValue> =
        RawValue::from_string(json!({"text": "x".repeat(10_000)}).to_string()).expect("JSON").into();
    let report = Report {
        worker_id: worker("w"),
        job_id: task.job_id.to_string(),
        task_id: task.task_id.to_string(),
        status: "success".to_owned(),
        payloads: Payloads { data: Some(data), ..Payloads::default() },
        error: None,
    };
    bench.act(|jobs, now| jobs.on_result(report, now));
    assert!(bench.jobs.store().weight() >= before + 10_000);
    bench.run("w", "success", None);
    assert_eq!(bench.status(number), TaskStatus::Finished);
    bench.jobs.store.forget(0, 0);
    assert_eq!(bench.jobs.store().weight(), 0, "all of it is given back");
}

#[test]
fn the_row_of_a_job_has_no_parameters() {
    let mut bench = bench();
    let number = submit(&mut bench);
    let row = serde_json::to_string(bench.jobs.store().job(number).expect("known")).expect("JSON");
    assert!(row.contains("\"line\"") && !row.contains(r#"{"n":1}"#), "{row}");
}
