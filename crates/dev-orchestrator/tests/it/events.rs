//! Server-sent events.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, LogSource, NewTask, Settings};
use serde_json::json;

use crate::browser::Browser;
use crate::client::{Worker, eventually, in_time, open_polls};

async fn start() -> DevOrchestrator {
    DevOrchestrator::start(Settings::new()).await.expect("a free port")
}

#[tokio::test]
async fn a_browser_sees_a_task_from_its_submission_to_its_end() {
    let orchestrator = start().await;
    orchestrator.submit(NewTask::new("other").with_params(json!({"secret": 1}))).expect("room");
    let mut browser = Browser::open(&orchestrator).await;
    assert_eq!(browser.headers["content-type"], "text/event-stream");
    assert_eq!(browser.headers["cache-control"], "no-store");
    let snapshot = browser.next().await.expect("an event");
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(
        (&snapshot.data["counts"]["queued"], &snapshot.data["counts"]["running"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&snapshot.data["workers"], &snapshot.data["faults"]["slow"]["on"]),
        (&json!([]), &json!(false))
    );
    assert_eq!(snapshot.data["tasks"][0]["type"], "other");
    assert!(snapshot.data["tasks"][0].get("params").is_none(), "{:?}", snapshot.data);

    let job_id = orchestrator.submit(NewTask::new("x")).expect("room").into_job_id();
    let event = browser.next_of("task").await;
    assert_eq!((&event.data["job_id"], &event.data["status"]), (&json!(job_id), &json!("queued")));
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    assert_eq!(browser.next_of("worker").await.data["worker_id"], "w");
    let task = worker.task().await;
    let event = browser.next_of("task").await;
    assert_eq!((&event.data["status"], &event.data["worker_id"]), (&json!("running"), &json!("w")));
    let progress = json!({
        "worker_id": "w", "event_type": "progress", "target_job_id": task["job_id"],
        "target_task_id": task["task_id"], "payload": {"progress": 0.5, "message": "half"},
    });
    worker.post("events", &progress).await;
    let event = browser.next_of("progress").await;
    let expected = json!({"job_id": job_id, "task_id": task["task_id"], "progress": 0.5, "message": "half"});
    assert_eq!(event.data, expected);
    worker.result(&task, json!({"status": "success", "data": {"a": 1}})).await;
    let event = browser.next_of("task").await;
    assert_eq!((&event.data["status"], &event.data["progress"]), (&json!("finished"), &json!(1.0)));
    assert!(event.data.get("data").is_none(), "{:?}", event.data);
    worker.beat(&json!({"status": "busy"})).await;
    while browser.next_of("worker").await.data["status"] != "busy" {}
    orchestrator.shutdown().await;
    while browser.next().await.is_some() {}
}

#[tokio::test]
async fn the_figures_of_each_second_are_told_and_faults_with_their_verdicts() {
    let orchestrator = start().await;
    let mut browser = Browser::open(&orchestrator).await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    while browser.next_of("stats").await.data["submitted"] != 1 {}
    let first = browser.next_of("stats").await.data;
    let second = browser.next_of("stats").await.data;
    assert_eq!(first["at"].as_u64().map(|at| at + 1), second["at"].as_u64(), "{first} {second}");
    orchestrator.set_fault(Fault::Garbage, FaultSwitch::on()).expect("a fault");
    let event = browser.next_of("fault").await;
    assert_eq!((&event.data["name"], &event.data["on"]), (&json!("garbage"), &json!(true)));
    orchestrator.set_fault(Fault::Garbage, FaultSwitch::off()).expect("a fault");
    let verdict = browser.next_of("verdict").await.data;
    assert_eq!((&verdict["fault"], &verdict["ok"]), (&json!("garbage"), &json!(true)));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn progress_that_comes_too_fast_is_thinned_out_and_the_last_one_arrives() {
    let orchestrator = start().await;
    let mut browser = Browser::open(&orchestrator).await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    for step in 1..=100 {
        let progress = json!({
            "worker_id": "w", "event_type": "progress", "target_job_id": task["job_id"],
            "target_task_id": task["task_id"], "payload": {"progress": f64::from(step) / 100.0},
        });
        worker.post("events", &progress).await;
    }
    let mut told = Vec::new();
    while told.last() != Some(&1.0) {
        told.push(browser.next_of("progress").await.data["progress"].as_f64().expect("a number"));
    }
    assert!(told.is_sorted() && told.len() < 100, "{told:?}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_browser_that_comes_back_goes_on_where_it_was() {
    let orchestrator = start().await;
    let mut browser = Browser::open(&orchestrator).await;
    let snapshot = browser.next_of("snapshot").await;
    for text in ["a", "b", "c"] {
        orchestrator.log_line("w", LogSource::Stdout, text);
    }
    let first = browser.next_of("log").await;
    drop(browser);
    orchestrator.log_line("w", LogSource::Stdout, "d");
    for (last, expected) in [(&first.id, &["b", "c", "d"][..]), (&snapshot.id, &["a", "b", "c", "d"])] {
        let mut browser = Browser::open_after(&orchestrator, Some(last)).await.expect("room");
        for text in expected {
            let event = browser.next().await.expect("an event");
            assert_eq!((event.name.as_str(), &event.data["line"]["text"]), ("log", &json!(text)));
        }
    }
    let other = start().await;
    for id in [first.id.as_str(), "", "ü", "99999999999999999999-1"] {
        let mut browser = Browser::open_after(&other, Some(id)).await.expect("room");
        let names =
            [browser.next().await.expect("an event").name, browser.next().await.expect("an event").name];
        assert_eq!(names, ["lagged", "snapshot"], "{id}");
    }
    orchestrator.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn a_browser_that_reads_too_slowly_is_told_so() {
    let orchestrator = start().await;
    let mut browser = Browser::open(&orchestrator).await;
    browser.next_of("snapshot").await;
    let line = "x".repeat(4000);
    for _ in 0..12_000 {
        orchestrator.log_line("w", LogSource::Stdout, &line);
    }
    let mut lines = 0;
    loop {
        match browser.next().await.expect("an event").name.as_str() {
            "log" => lines += 1,
            name => {
                assert_eq!(name, "lagged");
                break;
            }
        }
    }
    assert!(lines < 12_000, "{lines}");
    assert_eq!(browser.next().await.expect("an event").name, "snapshot");
    orchestrator.log_line("w", LogSource::Stdout, "again");
    assert_eq!(browser.next_of("log").await.data["line"]["text"], "again");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn fifty_browsers_see_the_same_and_leave_nothing_behind() {
    let orchestrator = start().await;
    for _ in 0..6 {
        let mut browsers = Vec::new();
        for _ in 0..50 {
            // Those that have left are noticed soon, not at once.
            let browser = in_time(async {
                loop {
                    match Browser::open_after(&orchestrator, None).await {
                        Ok(browser) => return browser,
                        Err(status) => assert_eq!(status, 503),
                    }
                }
            });
            browsers.push(browser.await);
        }
        let job_id = orchestrator.submit(NewTask::new("x")).expect("room").into_job_id();
        for browser in &mut browsers {
            assert_eq!(browser.task_with("queued").await.data["job_id"], json!(job_id));
        }
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_silent_worker_is_gone() {
    let settings = Settings::new().with_worker_ttl(Duration::from_millis(200));
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let mut browser = Browser::open(&orchestrator).await;
    Worker::registered(&orchestrator, "w", &["x"]).await;
    assert_eq!(browser.next_of("worker_gone").await.data, json!({"worker_id": "w"}));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_failure_has_its_code_and_message_but_not_what_may_be_large() {
    let orchestrator = start().await;
    let mut browser = Browser::open(&orchestrator).await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    orchestrator.submit(NewTask::new("x")).expect("room");
    let (task, ()) = tokio::join!(worker.task(), eventually(|| open_polls(&orchestrator) == 0));
    let long = "m".repeat(100_000);
    let error = json!({"code": "PERMANENT_ERROR", "message": long, "details": {"more": long}});
    worker.result(&task, json!({"status": "failure", "error": error})).await;
    let error = browser.task_with("quarantined").await.data["error"].clone();
    assert_eq!(error["code"], "PERMANENT_ERROR");
    assert!(
        error["message"].as_str().is_some_and(|message| message.len() < 5000)
            && error.get("details").is_none()
    );
    orchestrator.shutdown().await;
}
