//! A worker at the development orchestrator that imitates a real one.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use avtomatika_dev::{Blueprint, DevOrchestrator, Event, Imitation, NewTask, Settings, TaskStatus, TaskView};
use avtomatika_worker::WorkerConfig;
use avtomatika_worker::prelude::*;
use e2e::LIMIT;
use serde_json::{Value, json};
use testkit::Stopwatch;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use ureq::Agent;

const TWO_STEP: &str = r#"{"name": "two_step", "start": "a", "states": {
    "a": {"task": "hold", "on": {"success": "b"}},
    "b": {"task": "hold", "on": {"success": "finished"}}
}}"#;

/// Makes two tests of each scenario, one for each imitated orchestrator.
macro_rules! as_both {
    ($($scenario:ident),+ $(,)?) => {
        mod as_1_0b12 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() { super::$scenario(super::Imitation::Older).await; })+
        }
        mod as_1_0b30 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() { super::$scenario(super::Imitation::Newer).await; })+
        }
    };
}

as_both!(
    a_full_worker_that_says_so_costs_the_next_task_and_one_that_queues_does_not,
    unsigned_messages_are_refused_by_the_newer_one_only,
    the_61st_poll_is_refused_and_the_worker_falls_silent,
    a_repeated_result_completes_the_next_step_at_the_older_one_only,
);

/// An orchestrator with a worker of one slot, whose tasks `hold` end when the test says so.
struct Stage {
    orchestrator: Arc<DevOrchestrator>,
    gate: Arc<Semaphore>,
    worker: JoinSet<()>,
}

impl Stage {
    async fn start(imitation: Imitation, capacity: &str) -> Self {
        let settings = Settings::new()
            .without_storage()
            .with_token("a-token")
            .with_imitation(imitation)
            .with_blueprint(Blueprint::from_json(TWO_STEP).expect("a blueprint"))
            .with_poll_hold(Duration::from_secs(1));
        let orchestrator = Arc::new(DevOrchestrator::start(settings).await.expect("a free port"));
        let gate = Arc::new(Semaphore::new(0));
        let variables = [
            ("ORCHESTRATOR_URL", orchestrator.url()),
            ("WORKER_TOKEN", "a-token".to_owned()),
            ("WORKER_ID", "w".to_owned()),
            ("HEARTBEAT_INTERVAL", "1".to_owned()),
            ("MAX_CONCURRENT_TASKS", "1".to_owned()),
            ("WORKER_CAPACITY_REPORTING", capacity.to_owned()),
        ];
        let config = WorkerConfig::from_variables(variables.map(|(name, value)| (name.to_owned(), value)));
        let permits = gate.clone();
        let hold = move || {
            let gate = permits.clone();
            async move { gate.acquire().await.expect("it stays open").forget() }
        };
        let worker = Worker::builder().config(config).task("hold", hold).build().expect("valid");
        let mut feed = orchestrator.subscribe();
        let mut running = JoinSet::new();
        running.spawn(async move {
            worker.run_until(pending()).await.expect("it runs until it is dropped");
        });
        let registered =
            async { while !matches!(feed.next().await.expect("it runs"), Event::WorkerRegistered { .. }) {} };
        tokio::time::timeout(LIMIT, registered).await.expect("the worker registers in time");
        Self { orchestrator, gate, worker: running }
    }

    /// Submits a task that the worker begins.
    async fn begin(&self, task: NewTask) -> String {
        let job = self.orchestrator.submit(task).expect("room").job_id.to_string();
        self.until(|| self.task(&job).status == TaskStatus::Running).await;
        job
    }

    fn task(&self, id: &str) -> TaskView {
        self.orchestrator.task(id).expect("known")
    }

    async fn ended(&self, id: &str) -> TaskView {
        tokio::time::timeout(LIMIT, self.orchestrator.wait(id)).await.expect("in time").expect("known")
    }

    async fn until(&self, mut so: impl FnMut() -> bool) {
        let waiting = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.expect("in time");
    }

    /// Sends an unsigned message of the worker; returns the status and the body of the answer.
    async fn send(&self, path: &str, message: Value) -> (u16, String) {
        let url = format!("{}/_worker/{path}", self.orchestrator.url());
        let sending = tokio::task::spawn_blocking(move || {
            let config = Agent::config_builder().http_status_as_error(false).proxy(None);
            let agent: Agent = config.build().into();
            let request = agent.post(&url).header("X-Worker-Token", "a-token");
            let mut answer = request.send(message.to_string()).expect("an answer");
            (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a text"))
        });
        sending.await.expect("sent")
    }

    /// Returns the statuses of the polls so far.
    async fn polls(&self) -> Vec<u64> {
        let url = format!("{}/api/wire?operation=poll", self.orchestrator.url());
        let reading = tokio::task::spawn_blocking(move || {
            let agent: Agent = Agent::config_builder().proxy(None).build().into();
            agent.get(&url).call().expect("an answer").body_mut().read_to_string().expect("a text")
        });
        let log: Value = serde_json::from_str(&reading.await.expect("read")).expect("JSON");
        let exchanges = log["exchanges"].as_array().expect("a list");
        exchanges.iter().filter_map(|exchange| exchange["status"].as_u64()).collect()
    }

    async fn end(mut self) {
        self.worker.shutdown().await;
        Arc::into_inner(self.orchestrator).expect("the worker has ended").shutdown().await;
    }
}

async fn a_full_worker_that_says_so_costs_the_next_task_and_one_that_queues_does_not(imitation: Imitation) {
    let stage = Stage::start(imitation, "strict").await;
    let first = stage.begin(NewTask::new("hold")).await;
    stage.until(|| stage.orchestrator.workers()[0].status != "idle").await;
    let stopwatch = Stopwatch::start();
    let next = stage.orchestrator.submit(NewTask::new("hold")).expect("room").job_id;
    assert_eq!(stage.ended(next.as_str()).await.status, TaskStatus::Quarantined);
    assert!(stopwatch.took().is_below(Duration::from_secs(1)), "{:?}", stopwatch.took());
    stage.gate.add_permits(1);
    assert_eq!(stage.ended(&first).await.status, TaskStatus::Finished);
    stage.end().await;

    let stage = Stage::start(imitation, "queue").await;
    let first = stage.begin(NewTask::new("hold")).await;
    let next = stage.orchestrator.submit(NewTask::new("hold")).expect("room").job_id;
    assert_eq!(stage.task(next.as_str()).status, TaskStatus::Queued);
    stage.gate.add_permits(2);
    for job in [first.as_str(), next.as_str()] {
        assert_eq!(stage.ended(job).await.status, TaskStatus::Finished);
    }
    stage.end().await;
}

async fn unsigned_messages_are_refused_by_the_newer_one_only(imitation: Imitation) {
    let stage = Stage::start(imitation, "queue").await;
    let (status, text) =
        stage.send("events", json!({"worker_id": "w", "event_type": "note", "payload": {}})).await;
    let expected = if imitation == Imitation::Newer { 403 } else { 200 };
    assert_eq!(status, expected, "{text}");
    let job = stage.begin(NewTask::new("hold")).await;
    stage.gate.add_permits(1);
    assert_eq!(stage.ended(&job).await.status, TaskStatus::Finished, "the worker signs");
    stage.end().await;
}

async fn the_61st_poll_is_refused_and_the_worker_falls_silent(imitation: Imitation) {
    let stage = Stage::start(imitation, "queue").await;
    stage.gate.add_permits(100);
    let jobs: Vec<_> =
        (0..62).map(|_| stage.orchestrator.submit(NewTask::new("hold")).expect("room").job_id).collect();
    let refused = async {
        loop {
            let polls = stage.polls().await;
            if polls.contains(&429) {
                return polls;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let polls = tokio::time::timeout(LIMIT, refused).await.expect("in time");
    assert_eq!(polls.iter().filter(|status| **status != 429).count(), 60, "{polls:?}");
    let waiting = jobs.iter().filter(|job| stage.task(job.as_str()).status == TaskStatus::Queued).count();
    assert!(waiting >= 2, "they wait for the worker: {waiting}");
    stage.end().await;
}

async fn a_repeated_result_completes_the_next_step_at_the_older_one_only(imitation: Imitation) {
    let stage = Stage::start(imitation, "queue").await;
    let job = stage.begin(NewTask::job("two_step")).await;
    let first = stage.task(&job).task_id;
    stage.gate.add_permits(1);
    stage.until(|| stage.task(&job).attempts == 2).await;
    let again = json!({"job_id": job, "task_id": first, "worker_id": "w", "status": "success"});
    let (status, text) = stage.send("tasks/result", again).await;
    if imitation == Imitation::Older {
        assert_eq!((status, text.as_str()), (200, r#"{"status":"ok"}"#));
        assert_eq!(stage.task(&job).status, TaskStatus::Finished, "without the second result");
    } else {
        assert_eq!(status, 403, "{text}");
        assert_eq!(stage.task(&job).status, TaskStatus::Running);
    }
    stage.gate.add_permits(1);
    assert_eq!(stage.ended(&job).await.status, TaskStatus::Finished);
    stage.end().await;
}
