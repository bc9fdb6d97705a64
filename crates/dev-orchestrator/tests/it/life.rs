//! Registration, heartbeats, and silence.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Event, NewTask, Settings, TaskStatus};
use hyper::Method;
use serde_json::json;

use crate::client::{Worker, in_time};

async fn start() -> DevOrchestrator {
    DevOrchestrator::start(Settings::new()).await.expect("a free port")
}

#[tokio::test]
async fn both_generations_register() {
    let orchestrator = start().await;
    let older = Worker::new(&orchestrator, "older");
    let registration = json!({
        "worker_id": "older", "worker_type": "cpu", "supported_tasks": ["x"],
        "resources": {"max_concurrent_tasks": 10, "cpu_cores": 4, "gpu_info": null},
        "installed_software": {"python": "3.9"}, "installed_models": [],
        "capabilities": {"hostname": "h", "ip_address": "i", "cost_per_skill": {}, "s3_config_hash": null, "extra": null},
    });
    assert_eq!(older.post("workers/register", &registration).await.json()["status"], "registered");
    let newer = Worker::new(&orchestrator, "newer");
    let registration = json!({
        "worker_id": "newer", "supported_skills": [{"name": "x", "type": "gpu"}, {"name": "y"}],
        "available_skills": ["y"], "timestamp": 5, "skills_hash": null,
    });
    assert_eq!(newer.post("workers/register", &registration).await.json()["status"], "registered");
    let workers = serde_json::to_value(orchestrator.workers()).expect("JSON");
    assert_eq!(workers[1]["worker_id"], "older");
    assert_eq!((&workers[1]["tasks"], &workers[1]["accepts"]), (&json!(["x"]), &json!(["x"])));
    assert_eq!((&workers[0]["tasks"], &workers[0]["accepts"]), (&json!(["x", "y"]), &json!(["y"])));
    assert_eq!((&workers[0]["worker_type"], &workers[1]["worker_type"]), (&json!("generic"), &json!("cpu")));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_registration_warns_of_what_will_not_work() {
    let orchestrator = start().await;
    let worker = Worker::new(&orchestrator, "w");
    let headers = [("x-worker-token", "t"), ("x-rxon-version", "1.0b2")];
    let body = json!({"worker_id": "w", "supported_tasks": ["x", "my task"]}).to_string();
    let path = "/_worker/workers/register";
    let request = crate::client::request(worker.address, Method::POST, path, &headers, body);
    let answer = crate::client::send(worker.address, request).await;
    assert_eq!(answer.headers["x-rxon-version"], "1.0b17");
    let warning = answer.json()["warning"].as_str().expect("a text").to_owned();
    assert!(warning.contains("Worker: 1.0b2.") && warning.contains("`my task`"), "{warning}");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn heartbeats_tell_strangers_to_register() {
    let orchestrator = start().await;
    let worker = Worker::new(&orchestrator, "w");
    let empty = || worker.send(Method::PATCH, "workers/w", "");
    assert_eq!(empty().await.json(), json!(null));
    assert_eq!(worker.beat(&json!({"status": "idle"})).await, json!(null));
    Worker::registered(&orchestrator, "w", &["x"]).await;
    assert_eq!(empty().await.json(), json!({"status": "ttl_refreshed"}));
    let older = json!({
        "worker_id": "w", "status": "idle", "load": 0.0, "current_tasks": [], "supported_tasks": ["x"],
        "hot_cache": [], "skill_dependencies": null, "hot_skills": null,
    });
    assert_eq!(worker.beat(&older).await, json!({"status": "ok"}));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_cancelled_task_is_named_in_the_next_heartbeats_answer() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    let path = format!("/api/tasks/{}/cancel", submitted.job_id);
    let answer = crate::client::post(&orchestrator, &path, "").await.json();
    assert_eq!(answer, json!({"status": "cancel_requested"}));
    let beat = json!({"status": "busy", "current_tasks": [task["task_id"], task["job_id"], 5u8.to_string()]});
    let answer = worker.beat(&beat).await;
    assert_eq!(answer, json!({"status": "ok", "cancel_task_ids": [task["task_id"]]}));
    let answer = worker.result(&task, json!({"status": "cancelled"})).await;
    assert_eq!(answer, json!({"status": "accepted", "transition": "cancelled_handled"}));
    let view = in_time(orchestrator.wait(&submitted.job_id)).await.expect("known");
    assert_eq!((view.status, view.cancel_requested), (TaskStatus::Cancelled, false));
    assert_eq!(worker.beat(&beat).await, json!({"status": "ok"}));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_silent_worker_is_given_up_and_its_task_goes_to_another() {
    let settings = Settings::new().with_worker_ttl(Duration::from_millis(50));
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let mut feed = orchestrator.subscribe();
    let silent = Worker::registered(&orchestrator, "silent", &["x"]).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    silent.task().await;
    loop {
        if let Event::WorkerExpired { worker_id } = in_time(feed.next()).await.expect("it goes on") {
            assert_eq!(worker_id.as_str(), "silent");
            break;
        }
    }
    assert_eq!(silent.beat(&json!({"status": "idle"})).await, json!(null));
    let view = orchestrator.task(&submitted.job_id).expect("known");
    assert_eq!((view.status, view.attempts), (TaskStatus::Queued, 1));
    assert!(view.error.expect("why").message.contains("`silent`"));
    orchestrator.shutdown().await;
}
