//! Tasks, stories, logs, workers and faults.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, LogSource, NewTask, Settings, TaskStatus};
use hyper::Method;
use serde_json::{Value, json};

use super::Place;
use crate::client::{Worker, get, in_time, post, request, send, submit};

/// JSON whose bytes no parser would write again.
const ODD: &str = r#"{ "b" : 1.50, "a":12345678901234567890123, "a": [ 1.0E+2,"\u0041\/" ,{}], "" :null }"#;

/// Sends a result with these very bytes as data.
async fn raw_result(worker: &Worker, task: &Value, data: &str) {
    let body = format!(
        r#"{{"job_id":{},"task_id":{},"worker_id":"w","status":"success","data":{data}}}"#,
        task["job_id"], task["task_id"]
    );
    let answer = worker.send(Method::POST, "tasks/result", body).await;
    assert_eq!(answer.json()["status"], "accepted", "{answer:?}");
}

/// Returns what people see of a task, byte for byte.
async fn seen(orchestrator: &DevOrchestrator, job: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for path in ["", "/story", "/logs"] {
        let answer = get(orchestrator, &format!("/api/tasks/{job}{path}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        seen.push(String::from_utf8(answer.body.to_vec()).expect("text"));
    }
    seen
}

#[tokio::test]
async fn ended_tasks_with_their_stories_and_logs_are_the_same_afterwards() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let job = submit(&orchestrator, &format!(r#"{{"type":"x","params":{ODD},"priority":0.1}}"#)).await;
    let first = worker.task().await;
    orchestrator.log_line(
        "w",
        LogSource::Stderr,
        json!({"message": "one", "task_id": first["task_id"], "n": 1}).to_string(),
    );
    let error = json!({"code": "TRANSIENT_ERROR", "message": "again", "details": {"a": 1}});
    worker.result(&first, json!({"status": "failure", "error": error})).await;
    let second = worker.task().await;
    let progress = json!({"progress": 0.3, "message": "a third"});
    let event = json!({"worker_id": "w", "event_type": "progress", "payload": progress,
        "target_job_id": job, "target_task_id": second["task_id"]});
    worker.post("events", &event).await;
    raw_result(&worker, &second, ODD).await;
    let again = post(&orchestrator, &format!("/api/tasks/{job}/retry"), "").await.json();
    let before = seen(&orchestrator, &job).await;
    assert!(
        before[0].contains(&format!(r#""params":{ODD}"#)) && before[0].contains(&format!(r#""data":{ODD}"#))
    );
    assert!(before[1].contains("requeued") && before[1].contains("a third") && before[2].contains("one"));
    orchestrator.shutdown().await;

    let orchestrator = place.start().await;
    assert_eq!(seen(&orchestrator, &job).await, before);
    assert_eq!(
        get(&orchestrator, &format!("/api/tasks/{job}")).await.json()["retried_as"],
        json!([again["job_id"]])
    );
    // The retry waits, with the same parameters.
    let worker = Worker { address: orchestrator.address(), ..worker };
    let task = worker.task().await;
    assert_eq!((&task["job_id"], &task["priority"]), (&again["job_id"], &json!(0.1)));
    let view = get(&orchestrator, &format!("/api/tasks/{}", again["job_id"].as_str().expect("a text"))).await;
    assert!(String::from_utf8_lossy(&view.body).contains(&format!(r#""params":{ODD}"#)));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn long_stories_and_many_tasks_are_the_same_afterwards() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let job = submit(&orchestrator, r#"{"type":"x"}"#).await;
    let task = worker.task().await;
    for number in 0..1100 {
        let payload = json!({"progress": 0.5, "message": format!("step {number}")});
        let event =
            json!({"worker_id": "w", "event_type": "progress", "payload": payload, "target_job_id": job});
        worker.post("events", &event).await;
    }
    let waiting: Vec<_> = (0..500)
        .map(|number| {
            orchestrator.submit(NewTask::new("y").with_priority(f64::from(number % 7))).expect("room")
        })
        .collect();
    worker.result(&task, json!({"data": {}})).await;
    let before = seen(&orchestrator, &job).await;
    assert!(before[1].contains("step 1099") && before[1].contains("dropped"), "{}", before[1]);
    orchestrator.shutdown().await;

    let orchestrator = place.start().await;
    assert_eq!(seen(&orchestrator, &job).await, before);
    let list = get(&orchestrator, "/api/tasks?status=queued&limit=1000").await.json();
    assert_eq!(list["total"], 500);
    let other = Worker::registered(&orchestrator, "v", &["y"]).await;
    let mut order: Vec<_> = (0..500).collect();
    order.sort_by_key(|number| (-(number % 7), *number));
    for number in order.into_iter().take(80) {
        let expected = waiting[usize::try_from(number).expect("a number")].job_id.as_str();
        assert_eq!(other.task().await["job_id"], expected, "{number}");
    }
    // New tasks have new ids.
    let new = submit(&orchestrator, r#"{"type":"z"}"#).await;
    assert!(waiting.iter().all(|ids| ids.job_id.as_str() != new) && new.ends_with("-502"), "{new}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn tasks_that_were_forgotten_stay_forgotten() {
    let place = Place::new();
    let orchestrator = place.start_with(Settings::new().with_history_limit(2)).await;
    let jobs: Vec<_> = (0..5).map(|_| orchestrator.submit(NewTask::new("x")).expect("room").job_id).collect();
    for job in &jobs {
        orchestrator.cancel(job).expect("it waits");
    }
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    let known: Vec<bool> = jobs.iter().map(|job| orchestrator.task(job).is_some()).collect();
    assert_eq!(known, [false, false, false, true, true]);
    assert_eq!(orchestrator.task(&jobs[4]).expect("known").status, TaskStatus::Cancelled);
    orchestrator.shutdown().await;
    let orchestrator = place.start_with(Settings::new().with_history_limit(1)).await;
    assert_eq!(orchestrator.tasks(10).len(), 1, "the limit holds from the start");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn lines_of_exporters_and_of_workers_are_kept() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let record = json!({"body": {"stringValue": "exported"}, "severityText": "WARN"});
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let headers = [("content-type", "application/json")];
    let answer = send(
        orchestrator.address(),
        request(orchestrator.address(), Method::POST, "/v1/logs", &headers, logs),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for number in 0..10_005 {
        orchestrator.log_line("w", LogSource::Stdout, number.to_string());
    }
    let path = "/api/workers/w/logs";
    let (lines, exported) =
        (get(&orchestrator, path).await.body, get(&orchestrator, "/api/workers/unknown/logs").await);
    assert_eq!(exported.json()["lines"][0]["text"], "exported");
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    let again = get(&orchestrator, path).await;
    assert_eq!((again.json()["dropped"].as_u64(), &again.body), (Some(5), &lines));
    assert_eq!(get(&orchestrator, "/api/workers/unknown/logs").await.body, exported.body);
    orchestrator.log_line("w", LogSource::Stdout, "new");
    let rest = get(&orchestrator, &format!("{path}?after={}", again.json()["next"])).await.json();
    assert_eq!((rest["lines"][0]["text"].as_str(), rest["dropped"].as_u64()), (Some("new"), Some(6)));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn workers_go_on_without_registering_again() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let worker = Worker::new(&orchestrator, "w");
    let skill = json!({"name": "x", "description": "does x", "input_schema": {"type": "object"}});
    worker
        .post(
            "workers/register",
            &json!({"worker_id": "w", "worker_type": "kind", "supported_skills": [skill],
        "resources": {"max_concurrent_tasks": 4}, "installed_software": {"python": "3.13"}}),
        )
        .await;
    worker.beat(&json!({"worker_id": "w", "status": "busy", "current_tasks": []})).await;
    let (before, skills) =
        (get(&orchestrator, "/api/workers/w").await.json(), get(&orchestrator, "/api/skills").await.json());
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    let mut after = get(&orchestrator, "/api/workers/w").await.json();
    after["last_heard"] = before["last_heard"].clone();
    assert_eq!(after, before);
    assert_eq!(get(&orchestrator, "/api/skills").await.json(), skills);
    let worker = Worker { address: orchestrator.address(), ..worker };
    assert_eq!(worker.beat(&json!({"status": "idle"})).await, json!({"status": "ok"}));
    submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.run(json!({"data": {}})).await;
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn faults_stay_on_and_their_time_goes_on() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let long = FaultSwitch::on().with_rate(0.5).with_worker("w").with_duration(Duration::from_secs(600));
    orchestrator.set_fault(Fault::Slow, long.with_delay(Duration::from_secs(2))).expect("valid");
    orchestrator
        .set_fault(Fault::Cut, FaultSwitch::on().with_duration(Duration::from_millis(20)))
        .expect("valid");
    orchestrator.set_fault(Fault::Garbage, FaultSwitch::on()).expect("valid");
    orchestrator.set_fault(Fault::Garbage, FaultSwitch::off()).expect("valid");
    orchestrator.set_fault(Fault::Hang, FaultSwitch::on()).expect("valid");
    let before = orchestrator.faults();
    orchestrator.shutdown().await;
    tokio::time::sleep(Duration::from_millis(30)).await;

    let orchestrator = place.start().await;
    let state =
        |fault: Fault| orchestrator.faults().into_iter().find(|state| state.fault == fault).expect("listed");
    let (slow, old) =
        (state(Fault::Slow), before.iter().find(|state| state.fault == Fault::Slow).expect("listed"));
    assert!(slow.on && slow.left.expect("a time") < 600.0 && slow.left.expect("a time") > 400.0, "{slow:?}");
    assert_eq!(
        (slow.rate, slow.duration, slow.delay, &slow.worker, slow.since),
        (old.rate, old.duration, old.delay, &old.worker, old.since)
    );
    assert!(state(Fault::Hang).on && state(Fault::Hang).left.is_none());
    // The time of this one was over while nothing ran.
    let verdict = in_time(orchestrator.verdict(Fault::Cut)).await.expect("it was on");
    assert!(!state(Fault::Cut).on && verdict.ok, "{verdict:?}");
    let garbage = state(Fault::Garbage);
    assert!(!garbage.on && garbage.verdict.is_some_and(|verdict| verdict.ok));
    orchestrator.set_fault(Fault::Hang, FaultSwitch::off()).expect("valid");
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    assert!(!orchestrator.faults()[Fault::Hang as usize].on);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_has_ended_meanwhile_is_not_waited_for() {
    let place = Place::new();
    let orchestrator = place.start().await;
    Worker::registered(&orchestrator, "gone", &["x"]).await;
    orchestrator.shutdown().await;

    let orchestrator = place.start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    orchestrator.set_fault(Fault::Refuse, FaultSwitch::on()).expect("valid");
    orchestrator.set_fault(Fault::Refuse, FaultSwitch::off()).expect("valid");
    worker.beat(&json!({"status": "idle", "current_tasks": []})).await;
    submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.task().await;
    let verdict = in_time(orchestrator.verdict(Fault::Refuse)).await.expect("it was on");
    assert!(verdict.ok && verdict.workers == 1, "{verdict:?}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_verdict_that_was_awaited_is_made_after_the_restart() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let only = FaultSwitch::on().with_worker("w");
    orchestrator.set_fault(Fault::Cut, only).expect("valid");
    orchestrator.set_fault(Fault::Cut, FaultSwitch::off()).expect("valid");
    orchestrator.shutdown().await;

    let orchestrator = place.start().await;
    assert!(orchestrator.faults()[Fault::Cut as usize].verdict.is_none());
    let worker = Worker { address: orchestrator.address(), ..worker };
    worker.beat(&json!({"status": "idle", "current_tasks": []})).await;
    submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.task().await;
    let verdict = in_time(orchestrator.verdict(Fault::Cut)).await.expect("it was on");
    assert!(verdict.ok && verdict.workers == 1 && verdict.from <= verdict.to, "{verdict:?}");
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    let kept = in_time(orchestrator.verdict(Fault::Cut)).await.expect("it is kept");
    assert_eq!((kept.to, &kept.text), (verdict.to, &verdict.text));
    orchestrator.shutdown().await;
}
