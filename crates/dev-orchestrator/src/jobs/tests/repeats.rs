//! Retries of ended jobs by people.

use std::sync::Arc;

use serde_json::json;
use serde_json::value::RawValue;

use super::*;

fn repeat(bench: &mut Bench, number: u64, params: Option<&str>) -> Result<Repeat, Error> {
    let id = bench.jobs.store().names.job(number);
    let params = params.map(|json| Arc::from(RawValue::from_string(json.to_owned()).expect("JSON")));
    bench.act(|jobs, now| jobs.repeat(id.as_str(), params, now))
}

#[test]
fn a_retry_keeps_everything_but_the_parameters_that_are_replaced() {
    let mut bench = Bench::new();
    bench.register("w", &["x"]);
    let task = NewTask::new("x").with_priority(3.0).with_timeout(Duration::from_secs(7));
    let first = bench.submit(task.with_params(json!({"a": 1})));
    assert_eq!(
        repeat(&mut bench, first, None),
        Err(Error::NotEnded { job_id: bench.view(first).job_id, status: TaskStatus::Queued })
    );
    bench.run("w", "failure", Some("PERMANENT_ERROR"));
    let second = repeat(&mut bench, first, None).expect("it has ended").number;
    bench.run("w", "success", None);
    let third = repeat(&mut bench, second, Some(r#"{"b":  2}"#)).expect("it has ended");
    assert_eq!(third.of, first, "the first of all");

    let ids = [first, second, third.number].map(|number| bench.view(number).job_id);
    let [one, two, three] = [first, second, third.number].map(|number| bench.view(number));
    assert_eq!((one.of, two.of, three.of), (None, Some(ids[0].clone()), Some(ids[0].clone())));
    assert_eq!((one.retried_as, two.retried_as), (vec![ids[1].clone()], vec![ids[2].clone()]));
    assert_eq!(two.params.expect("kept").get(), r#"{"a":1}"#);
    assert_eq!(three.params.expect("replaced").get(), r#"{"b":  2}"#);
    assert_eq!((two.priority, two.timeout, three.priority, three.timeout), (3.0, 7.0, 3.0, 7.0));
    let story = bench.story(first);
    let last = story["events"].as_array().and_then(|events| events.last()).expect("events");
    assert_eq!((&last["event"], &last["as"]), (&json!("retried"), &json!(ids[1])));
}

#[test]
fn a_retry_needs_room_like_any_task() {
    let mut bench = Bench::with(Settings::new().with_queue_limit(1));
    bench.register("w", &["x"]);
    let first = bench.submit(NewTask::new("x"));
    bench.run("w", "success", None);
    let second = repeat(&mut bench, first, None).expect("room").number;
    assert_eq!(repeat(&mut bench, first, None), Err(Error::QueueFull { limit: 1 }));
    assert_eq!(bench.status(second), TaskStatus::Queued);
    let unknown = bench.act(|jobs, now| jobs.repeat("job-x", None, now));
    assert_eq!(unknown, Err(Error::UnknownTask("job-x".to_owned())));
}

#[test]
fn a_retry_of_a_task_that_is_removed_to_make_room_works() {
    let mut bench = Bench::with(Settings::new().with_memory_limit(20_000).with_history_limit(1));
    bench.register("w", &["x"]);
    let first = bench.submit(NewTask::new("x").with_params(json!({"a": "x".repeat(10_000)})));
    bench.run("w", "success", None);
    let second = repeat(&mut bench, first, None).expect("room is made").number;
    assert!(bench.jobs.store().job(first).is_none());
    assert_eq!(bench.view(second).params.expect("kept").get().len(), 10_008);
    assert!(bench.view(second).of.is_some(), "the id of a removed task is still its id");
}

#[test]
fn the_same_task_is_submitted_as_often_as_wanted_or_not_at_all() {
    let mut bench = Bench::with(Settings::new().with_queue_limit(3));
    let task = NewTask::new("x").check(&Settings::new()).expect("a task");
    let numbers = bench.act(|jobs, now| jobs.submit_many(&task, 3, now)).expect("room");
    assert_eq!(numbers, [1, 2, 3]);
    let mut bench = Bench::with(Settings::new().with_queue_limit(2));
    assert_eq!(bench.act(|jobs, now| jobs.submit_many(&task, 3, now)), Err(Error::QueueFull { limit: 2 }));
    assert_eq!(bench.jobs.store().jobs().count(), 0);
}
