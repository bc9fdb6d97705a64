//! The worker with the development orchestrator.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Event, NewTask, Settings, TaskStatus};
use avtomatika_worker::prelude::*;

/// A worker whose heartbeats are too rare for a test to wait for one.
fn worker(orchestrator: &DevOrchestrator) -> WorkerBuilder {
    let config = WorkerConfig::defaults().worker_token("any").heartbeat_interval(Duration::from_secs(3600));
    let config = config.option("ORCHESTRATOR_URL", &orchestrator.url()).worker_enable_websockets(true);
    Worker::builder().config(config.worker_shutdown_timeout(Duration::from_secs(5)))
}

#[tokio::test]
async fn a_running_task_is_cancelled_over_the_websocket() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let mut feed = orchestrator.subscribe();
    let wait = async |context: TaskContext| {
        context.send_progress(0.5, "waiting");
        std::future::pending::<()>().await;
    };
    let worker = worker(&orchestrator).task("wait", wait).build().expect("a worker");
    let job = orchestrator.submit(NewTask::new("wait")).expect("room").job_id;
    let cancelled = async {
        // Progress goes over the websocket, so that it is open.
        while !matches!(feed.next().await, Some(Event::Progress { .. })) {}
        orchestrator.cancel(&job).expect("it runs");
        assert_eq!(orchestrator.wait(&job).await.expect("known").status, TaskStatus::Cancelled);
    };
    worker.run_until(cancelled).await.expect("it runs");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_retry_waits_for_its_delay() {
    const DELAY: Duration = Duration::from_millis(300);
    let settings = Settings::new().with_max_retries(1).with_retry_delay(DELAY);
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let fail = async || -> Result<(), TaskError> { Err(TaskError::transient("not yet")) };
    let worker = worker(&orchestrator).task("fail", fail).build().expect("a worker");
    let job = orchestrator.submit(NewTask::new("fail")).expect("room").job_id;
    let ended = async {
        let view = orchestrator.wait(&job).await.expect("known");
        assert_eq!((view.status, view.attempts), (TaskStatus::Quarantined, 2));
        let waited = view.started_at.expect("started") - view.submitted_at;
        assert!(waited >= DELAY.as_secs_f64(), "{waited}");
    };
    worker.run_until(ended).await.expect("it runs");
    orchestrator.shutdown().await;
}
