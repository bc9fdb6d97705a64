//! Tasks that were running.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Imitation, NewTask, Settings, TaskStatus};
use serde_json::{Value, json};

use super::Place;
use crate::client::{Worker, eventually};

/// Two orchestrators with one state, and a task that was running in between.
struct Restart {
    orchestrator: DevOrchestrator,
    worker: Worker,
    task: Value,
    job: String,
    _place: Place,
}

impl Restart {
    async fn with(settings: Settings) -> Self {
        let place = Place::new();
        let orchestrator = place.start().await;
        let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
        let job = orchestrator.submit(NewTask::new("x")).expect("room").job_id.to_string();
        let task = worker.task().await;
        orchestrator.shutdown().await;
        let orchestrator = place.start_with(settings).await;
        let worker = Worker { address: orchestrator.address(), ..worker };
        let restart = Self { orchestrator, worker, task, job, _place: place };
        assert_eq!(restart.status(), TaskStatus::Running);
        restart
    }

    fn status(&self) -> TaskStatus {
        self.orchestrator.task(&self.job).expect("known").status
    }

    /// Checks that the try goes on, and that its result counts.
    async fn goes_on(&self) {
        let view = self.orchestrator.task(&self.job).expect("known");
        assert_eq!(
            (view.status, view.task_id.as_str()),
            (TaskStatus::Running, self.task["task_id"].as_str().expect("a text"))
        );
        assert_eq!(self.worker.result(&self.task, json!({"data": {"n": 1}})).await["status"], "accepted");
        assert_eq!(self.status(), TaskStatus::Finished);
    }

    /// Checks that the task is in the queue, and that another worker gets it as another try.
    async fn went_back(&self) {
        assert_eq!(self.status(), TaskStatus::Queued);
        let other = Worker::registered(&self.orchestrator, "other", &["x"]).await;
        let second = other.task().await;
        assert_eq!(second["job_id"], self.job.as_str());
        assert_ne!(second["task_id"], self.task["task_id"]);
        // The first one is too late now.
        assert_eq!(self.worker.result(&self.task, json!({"data": {}})).await["status"], "ignored");
        assert_eq!(other.result(&second, json!({"data": {}})).await["status"], "accepted");
    }
}

#[tokio::test]
async fn a_result_is_accepted_without_another_word() {
    Restart::with(Settings::new()).await.goes_on().await;
}

#[tokio::test]
async fn a_task_goes_on_when_its_worker_names_it() {
    let restart = Restart::with(Settings::new()).await;
    for id in [&restart.task["task_id"], &restart.task["job_id"]] {
        let beat = json!({"worker_id": "w", "status": "busy", "current_tasks": [id]});
        assert_eq!(restart.worker.beat(&beat).await, json!({"status": "ok"}));
    }
    // Only the first word after the restart counts: later the task may have ended, with its result on the way.
    restart.worker.beat(&json!({"status": "idle", "current_tasks": []})).await;
    restart.goes_on().await;
}

#[tokio::test]
async fn a_heartbeat_without_the_task_puts_it_back() {
    let restart = Restart::with(Settings::new()).await;
    assert_eq!(
        restart.worker.send(hyper::Method::PATCH, "workers/w", "").await.json()["status"],
        "ttl_refreshed"
    );
    assert_eq!(restart.status(), TaskStatus::Running, "an empty heartbeat says nothing about it");
    restart.worker.beat(&json!({"status": "busy", "current_tasks": ["task-other-1-1"]})).await;
    restart.went_back().await;
}

#[tokio::test]
async fn a_new_registration_puts_it_back() {
    let restart = Restart::with(Settings::new()).await;
    restart.worker.post("workers/register", &json!({"worker_id": "w", "supported_tasks": []})).await;
    restart.went_back().await;
}

#[tokio::test]
async fn the_silence_of_its_worker_puts_it_back() {
    let restart = Restart::with(Settings::new().with_worker_ttl(Duration::from_secs(1))).await;
    eventually(|| restart.status() == TaskStatus::Queued).await;
}

#[tokio::test]
async fn the_last_try_goes_back_to_the_queue_too() {
    let once = || Settings::new().with_max_retries(0);
    let restart = Restart::with(once()).await;
    restart.worker.beat(&json!({"status": "idle", "current_tasks": []})).await;
    restart.went_back().await;
    let restart = Restart::with(once().with_worker_ttl(Duration::from_secs(1))).await;
    eventually(|| restart.status() != TaskStatus::Running).await;
    assert_eq!(restart.status(), TaskStatus::Queued);
}

#[tokio::test]
async fn an_imitation_gives_a_silent_worker_its_time_after_a_restart_too() {
    let imitated = Settings::new().with_imitation(Imitation::Older);
    let restart = Restart::with(imitated.with_worker_ttl(Duration::from_millis(100))).await;
    eventually(|| restart.orchestrator.workers().is_empty()).await;
    assert_eq!(restart.status(), TaskStatus::Running);
}

#[tokio::test]
async fn the_silence_of_a_worker_that_was_forgotten_puts_it_back_too() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let job = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
    worker.task().await;
    let forget = avtomatika_dev::FaultSwitch::on();
    orchestrator.set_fault(avtomatika_dev::Fault::Forget, forget).expect("valid");
    orchestrator.shutdown().await;
    let orchestrator = place.start_with(Settings::new().with_worker_ttl(Duration::from_millis(100))).await;
    assert_eq!(orchestrator.workers().len(), 0);
    eventually(|| orchestrator.task(&job).expect("known").status == TaskStatus::Queued).await;
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_result_that_comes_late_counts_while_nobody_else_has_the_task() {
    let restart = Restart::with(Settings::new()).await;
    // The worker has ended the task while nobody listened, and its heartbeat overtakes the result.
    restart.worker.beat(&json!({"status": "busy", "current_tasks": []})).await;
    assert_eq!(restart.status(), TaskStatus::Queued);
    let other = Worker { id: "stranger".to_owned(), ..restart.worker.clone() };
    assert_eq!(other.result(&restart.task, json!({"data": {}})).await["status"], "ignored");
    assert_eq!(restart.worker.result(&restart.task, json!({"data": {"n": 1}})).await["status"], "accepted");
    let view = restart.orchestrator.task(&restart.job).expect("known");
    assert_eq!(
        (view.status, view.task_id.as_str()),
        (TaskStatus::Finished, restart.task["task_id"].as_str().expect("a text"))
    );
    assert_eq!(restart.worker.result(&restart.task, json!({"data": {}})).await["status"], "ignored");
}

#[tokio::test]
async fn a_cancellation_is_not_forgotten() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let job = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
    let task = worker.task().await;
    orchestrator.cancel(&job).expect("it runs");
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    let worker = Worker { address: orchestrator.address(), ..worker };
    let answer = worker.beat(&json!({"status": "busy", "current_tasks": [task["task_id"]]})).await;
    assert_eq!(answer["cancel_task_ids"], json!([task["task_id"]]));
    worker.result(&task, json!({"status": "cancelled"})).await;
    assert_eq!(orchestrator.task(&job).expect("known").status, TaskStatus::Cancelled);
    orchestrator.shutdown().await;
}
