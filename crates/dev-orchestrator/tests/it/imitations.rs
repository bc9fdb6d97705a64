//! What is done as the real orchestrators do it, row by row of the table in the guide.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Imitation, NewTask, Settings, TaskStatus};
use hyper::{Method, StatusCode};
use rxon::WorkerId;
use rxon::model::Generation;
use rxon::signing::Seal;
use serde_json::{Value, json};
use testkit::Stopwatch;

use crate::client::{Answer, Worker, eventually, get, in_time, open_polls, post, request, send};

const HOLD: Duration = Duration::from_millis(300);

fn settings(imitation: Imitation) -> Settings {
    Settings::new().without_storage().with_token("secret").with_imitation(imitation).with_poll_hold(HOLD)
}

async fn start(imitation: Imitation) -> DevOrchestrator {
    DevOrchestrator::start(settings(imitation)).await.expect("a free port")
}

/// Returns a message signed with the token.
fn signed(worker: &str, message: &Value, ignore: &[&str]) -> String {
    let worker = WorkerId::new(worker).expect("an identifier");
    let sealed = Seal::new(worker, "secret").message(message, ignore, Generation::Newer);
    String::from_utf8(sealed.expect("signable").into()).expect("UTF-8")
}

/// Sends a registration that both accept.
async fn register(worker: &Worker, tasks: &[&str]) -> Answer {
    let message = json!({"worker_id": worker.id, "supported_tasks": tasks});
    worker.send(Method::POST, "workers/register", signed(&worker.id, &message, &[])).await
}

async fn registered(orchestrator: &DevOrchestrator, tasks: &[&str]) -> Worker {
    let worker = Worker::new(orchestrator, "w");
    assert_eq!(register(&worker, tasks).await.status, StatusCode::OK);
    worker
}

async fn beat(worker: &Worker, status: &str) -> Value {
    let message = json!({"worker_id": worker.id, "status": status});
    let path = format!("workers/{}", worker.id);
    let answer = worker.send(Method::PATCH, &path, signed(&worker.id, &message, &[])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

async fn poll(worker: &Worker) -> Answer {
    worker.send(Method::GET, &format!("workers/{}/tasks/next", worker.id), "").await
}

async fn result(worker: &Worker, task: &Value, more: Value) -> Answer {
    let mut message = json!({
        "job_id": task["job_id"], "task_id": task["task_id"], "worker_id": worker.id, "status": "success",
    });
    let Value::Object(more) = more else { panic!("an object") };
    message.as_object_mut().expect("an object").extend(more);
    worker.send(Method::POST, "tasks/result", signed(&worker.id, &message, &[])).await
}

#[tokio::test]
async fn a_registration_is_answered_with_the_version_by_the_newer_one_only() {
    for (imitation, answer, header) in [
        (Imitation::Older, json!({"status": "registered"}), None),
        (Imitation::Newer, json!({"status": "registered", "version": "1.0b17"}), Some("1.0b17")),
    ] {
        let orchestrator = start(imitation).await;
        let worker = Worker::new(&orchestrator, "w");
        let registered = register(&worker, &["x"]).await;
        assert_eq!(registered.json(), answer, "{imitation}");
        let version = registered.headers.get("x-rxon-version").map(|value| value.to_str().expect("a text"));
        assert_eq!(version, header, "{imitation}");
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_401_for_the_older_one_and_403_for_the_newer_one() {
    for (imitation, status) in [(Imitation::Older, 401), (Imitation::Newer, 403)] {
        let orchestrator = start(imitation).await;
        for token in ["wrong", ""] {
            let mut worker = Worker::new(&orchestrator, "w");
            worker.token = token.to_owned();
            poll(&worker).await.error(status);
            worker.post("workers/register", &json!({"worker_id": "w"})).await.error(status);
        }
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn unsigned_messages_are_refused_by_the_newer_one_only() {
    for (imitation, status) in [(Imitation::Older, 200), (Imitation::Newer, 403)] {
        let orchestrator = start(imitation).await;
        let worker = registered(&orchestrator, &["x"]).await;
        let job = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
        let task = poll(&worker).await.json();
        for (method, path, message) in [
            (Method::POST, "workers/register", json!({"worker_id": "w", "supported_tasks": ["x"]})),
            (Method::PATCH, "workers/w", json!({"worker_id": "w", "status": "idle"})),
            (
                Method::POST,
                "events",
                json!({"worker_id": "w", "event_type": "progress", "payload": {"progress": 0.5}, "target_job_id": job}),
            ),
            (
                Method::POST,
                "tasks/result",
                json!({"job_id": job, "task_id": task["task_id"], "worker_id": "w", "status": "success"}),
            ),
        ] {
            let answer = worker.send(method, path, message.to_string()).await;
            assert_eq!(answer.status.as_u16(), status, "{imitation} {path}: {answer:?}");
        }
        let ended = orchestrator.task(&job).expect("known").status == TaskStatus::Finished;
        assert_eq!(ended, imitation == Imitation::Older);
        let wrong = json!({
            "worker_id": "w", "status": "idle", "timestamp": 1, "security": {"signature": "00", "signer_id": "w"},
        });
        let answer = worker.send(Method::PATCH, "workers/w", wrong.to_string()).await;
        assert_eq!(answer.status.as_u16(), status, "the older one looks at no signature: {answer:?}");
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn the_timeout_of_a_poll_is_ignored() {
    for imitation in Imitation::ALL {
        let orchestrator = start(imitation).await;
        let worker = registered(&orchestrator, &["x"]).await;
        for wish in ["0", "soon"] {
            let start = Stopwatch::start();
            assert_eq!(worker.poll_for(wish).await.status, StatusCode::NO_CONTENT);
            assert!(start.took().is_within(HOLD..Duration::from_secs(10)), "{:?}", start.took());
        }
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn without_an_idle_worker_a_task_is_quarantined_within_a_second() {
    for imitation in Imitation::ALL {
        let orchestrator = start(imitation).await;
        let quarantined = async |body: &str| {
            let stopwatch = Stopwatch::start();
            let answer = post(&orchestrator, "/api/tasks", body).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED);
            assert_eq!(answer.json().get("hint"), None, "it does not wait");
            let id = answer.json()["job_id"].as_str().expect("a text").to_owned();
            let view = in_time(orchestrator.wait(&id)).await.expect("known");
            assert!(stopwatch.took().is_below(Duration::from_secs(1)), "{:?}", stopwatch.took());
            assert_eq!((view.status, view.attempts), (TaskStatus::Quarantined, 0), "{imitation}");
            assert!(view.error.expect("a reason").message.contains("no suitable workers"));
        };
        quarantined(r#"{"type": "x"}"#).await;
        let worker = registered(&orchestrator, &["x"]).await;
        quarantined(r#"{"type": "y"}"#).await;
        let waiting = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
        assert_eq!(orchestrator.task(&waiting).expect("known").status, TaskStatus::Queued, "it is idle");
        assert_eq!(beat(&worker, "busy").await["status"], "ok");
        quarantined(r#"{"type": "x"}"#).await;
        beat(&worker, "idle").await;
        let task = poll(&worker).await.json();
        assert_eq!(task["job_id"], waiting.as_str(), "it was not given up later");
        // A failure that may pass is tried again at once, and given up when nobody is idle then.
        let error = json!({"code": "TRANSIENT_ERROR", "message": "no luck"});
        result(&worker, &task, json!({"status": "failure", "error": error})).await;
        let task = poll(&worker).await.json();
        assert_eq!(task["job_id"], waiting.as_str());
        beat(&worker, "busy").await;
        result(&worker, &task, json!({"status": "failure", "error": error})).await;
        let view = in_time(orchestrator.wait(&waiting)).await.expect("known");
        assert_eq!((view.status, view.attempts), (TaskStatus::Quarantined, 2));
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn an_abandoned_poll_swallows_the_next_task_until_its_timeout() {
    for imitation in Imitation::ALL {
        let settings = settings(imitation)
            .with_poll_hold(Duration::from_secs(30))
            .with_worker_ttl(Duration::from_secs(1))
            .with_max_retries(0);
        let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
        let worker = registered(&orchestrator, &["x"]).await;
        drop(worker.open_poll().await);
        eventually(|| open_polls(&orchestrator) == 1).await;
        let task = NewTask::new("x").with_timeout(Duration::from_secs(3));
        let job = orchestrator.submit(task).expect("room").job_id;
        let view = orchestrator.task(&job).expect("known");
        assert_eq!((view.status, view.attempts), (TaskStatus::Running, 1), "{imitation}");
        assert_eq!(open_polls(&orchestrator), 0);
        let stopwatch = Stopwatch::start();
        let view = in_time(orchestrator.wait(&job)).await.expect("known");
        assert!(stopwatch.took().is_within(Duration::from_secs(3)..Duration::from_secs(30)), "not before");
        assert_eq!(view.error.expect("a reason").code.as_str(), "TIMEOUT_ERROR", "not for its silent worker");
        let story = get(&orchestrator, &format!("/api/tasks/{job}/story")).await.json();
        let events: Vec<&str> = story["events"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|event| event["event"].as_str())
            .collect();
        assert_eq!(events, ["submitted", "offered", "result"], "it was never delivered");
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn the_61st_poll_of_a_minute_is_refused_and_refused_ones_count() {
    for (imitation, text) in
        [(Imitation::Older, "Too Many Requests"), (Imitation::Newer, r#"{"error": "Too Many Requests"}"#)]
    {
        let settings = settings(imitation).with_poll_hold(Duration::from_millis(1));
        let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
        let worker = registered(&orchestrator, &["x"]).await;
        for number in 1..=60 {
            assert_eq!(poll(&worker).await.status, StatusCode::NO_CONTENT, "poll {number}");
        }
        for _ in 0..2 {
            let refused = poll(&worker).await;
            assert_eq!(refused.error(429), text);
            assert!(!refused.headers.contains_key("retry-after"));
        }
        assert_eq!(beat(&worker, "idle").await["status"], "ok", "another kind");
        let other = Worker { id: "v".to_owned(), ..worker };
        assert_eq!(poll(&other).await.status, StatusCode::NO_CONTENT, "another worker");
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn a_repeated_result_completes_the_next_step_at_the_older_one_and_is_ignored_by_the_newer_one() {
    let blueprint = avtomatika_dev::Blueprint::from_json(
        r#"{"name": "two_step", "start": "a", "states": {
            "a": {"task": "x", "on": {"success": "b"}},
            "b": {"task": "x", "on": {"success": "finished"}}
        }}"#,
    );
    let blueprint = blueprint.expect("a blueprint");
    for (imitation, status) in
        [(Imitation::Older, TaskStatus::Finished), (Imitation::Newer, TaskStatus::Queued)]
    {
        let settings = settings(imitation).with_blueprint(blueprint.clone());
        let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
        let worker = registered(&orchestrator, &["x"]).await;
        let job = orchestrator.submit(NewTask::job("two_step")).expect("room").job_id;
        let task = poll(&worker).await.json();
        let first = result(&worker, &task, json!({})).await.json();
        let again = result(&worker, &task, json!({})).await.json();
        assert_eq!(orchestrator.task(&job).expect("known").status, status, "{imitation}");
        if imitation == Imitation::Newer {
            assert_eq!(first, json!({"status": "accepted", "transition": "success_transition"}));
            assert_eq!((&again["status"], &again["reason"]), (&json!("ignored"), &json!("stale_task")));
            let second = poll(&worker).await.json();
            assert_eq!(result(&worker, &second, json!({})).await.json()["status"], "accepted");
            let late = result(&worker, &second, json!({})).await.json();
            assert_eq!(late["reason"], "job_already_terminated");
        } else {
            let ok = json!({"status": "ok"});
            assert_eq!((&first, &again), (&ok, &ok));
            assert_eq!(result(&worker, &task, json!({})).await.json(), ok, "after the end");
        }
        assert_eq!(orchestrator.task(&job).expect("known").status, TaskStatus::Finished);
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn at_the_older_one_any_task_id_and_any_worker_will_do_and_an_unknown_job_is_an_error() {
    let orchestrator = start(Imitation::Older).await;
    let worker = registered(&orchestrator, &["x"]).await;
    let job = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
    let running = poll(&worker).await.json();
    assert_eq!(running["job_id"], job.as_str());
    let other = Worker { id: "v".to_owned(), ..worker.clone() };
    // Unsigned, and twice the same bytes.
    for _ in 0..2 {
        let body = json!({"job_id": job, "task_id": "made-up", "worker_id": "v", "data": {"a": 1}});
        assert_eq!(other.post("tasks/result", &body).await.json(), json!({"status": "ok"}));
    }
    let view = orchestrator.task(&job).expect("known");
    assert_eq!((view.status, view.attempts), (TaskStatus::Finished, 1));
    let waiting = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
    let early = json!({"job_id": waiting, "task_id": "made-up"});
    assert_eq!(result(&other, &early, json!({})).await.json(), json!({"status": "ok"}));
    assert_eq!(orchestrator.task(&waiting).expect("known").status, TaskStatus::Finished, "nobody had it");
    let unknown = json!({"job_id": "job-1", "task_id": "t"});
    assert_eq!(result(&worker, &unknown, json!({})).await.error(500), "Job not found");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_stranger_learns_that_it_is_unknown_from_the_older_one_only() {
    for (imitation, answer) in [(Imitation::Older, Value::Null), (Imitation::Newer, json!({"status": "ok"}))]
    {
        let orchestrator = start(imitation).await;
        let worker = Worker::new(&orchestrator, "w");
        assert_eq!(beat(&worker, "idle").await, answer, "{imitation}");
        assert_eq!(worker.send(Method::PATCH, "workers/w", "").await.json(), Value::Null, "without a body");
        orchestrator.shutdown().await;
    }
}

#[tokio::test]
async fn without_an_imitation_nothing_of_this_happens() {
    let orchestrator =
        DevOrchestrator::start(Settings::new().with_token("secret")).await.expect("a free port");
    let worker = registered(&orchestrator, &["x"]).await;
    for _ in 0..65 {
        assert_eq!(worker.poll_for("0").await.status, StatusCode::NO_CONTENT);
    }
    let address = orchestrator.address();
    let headers = [("x-worker-token", "wrong"), ("content-type", "application/json")];
    let answer = send(address, request(address, Method::POST, "/_worker/events", &headers, "{}")).await;
    answer.error(401);
    let job = orchestrator.submit(NewTask::new("y")).expect("room").job_id;
    assert_eq!(orchestrator.task(&job).expect("known").status, TaskStatus::Queued);
    orchestrator.shutdown().await;
}
