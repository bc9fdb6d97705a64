use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::registry::Registry;
use rxon::model::Task;
use rxon::secrets::Secrets;
use rxon::signing::Seal;
use rxon::transport::{Connector, memory};
use rxon::{JobId, TaskId, TaskName};
use serde_json::Value;

use super::*;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::slots::Slots;
use crate::capacity::turns::{Precedence, Turns};
use crate::delivery::{Delivery, DeliveryCounts, OutboxSettings};
use crate::peer::Peer;
use crate::peer::log::{PeerCounts, PeerLog};
use crate::task::handler::{HandlerService, TaskService};
use crate::task::progress::ProgressBoard;

/// The orchestrator behind this connector.
pub(crate) fn origin(connector: Arc<dyn Connector>) -> Arc<Origin> {
    let worker_id = WorkerId::new("w").expect("an identifier");
    let seal = Seal::new(worker_id.clone(), "token");
    let log = PeerLog::new("http://peer".into(), &PeerCounts::default());
    let peer = Peer::new(log, connector, seal);
    let settings = OutboxSettings {
        quick_tries: 5,
        first_delay: Duration::from_secs(1),
        max_age: Duration::from_secs(86_400),
        resend_ambiguous: true,
        max_at_once: 4,
        sharers: 1,
    };
    let (heartbeat_trigger, counts) = (Arc::new(HeartbeatTrigger::new(1)), DeliveryCounts::default());
    let senders = TaskTracker::new();
    let delivery =
        Delivery::new(peer.clone(), worker_id, settings, heartbeat_trigger, None, &counts, senders);
    let (progress, secrets) = (Arc::new(ProgressBoard::default()), Arc::new(Secrets::new([])));
    Arc::new(Origin { orchestrator: OrchestratorIndex(0), peer, delivery, progress, _secrets: secrets })
}

/// An executor with these tasks.
pub(crate) fn executor(router: Router) -> Arc<Executor> {
    let folder = std::env::temp_dir().join("avtomatika-executor-tests");
    Arc::new(Executor {
        worker_id: WorkerId::new("w").expect("an identifier"),
        time_limit: None,
        strict_events: true,
        websockets: true,
        router: Arc::new(router),
        running: Arc::default(),
        tasks: TaskTracker::new(),
        threads: Arc::new(BlockingThreads::new(4)),
        files: Arc::new(Files::new(&folder, None, None, None, &mut Registry::default())),
        hot_cache: Arc::default(),
        heartbeat_trigger: Arc::new(HeartbeatTrigger::new(1)),
        counts: Counts::default(),
        trust: Trust::new(None, true),
        unknown: UnknownTasks::new(tokio_util::sync::CancellationToken::new()),
    })
}

/// An executor with one handler, the slots of its tasks, and where they come from.
struct Bench {
    executor: Arc<Executor>,
    slots: Arc<Slots>,
    origin: Arc<Origin>,
    /// How often the handler ran.
    runs: Arc<AtomicUsize>,
}

impl Bench {
    fn new(limit: usize) -> Self {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let handler = async move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        Self { runs, ..Self::with(limit, TaskService::new(HandlerService::new(handler, ()))) }
    }

    fn with(limit: usize, service: TaskService) -> Self {
        let (events, counters) = (Arc::default(), counts::TaskCounters::default());
        let route = Route { service, group: None, time_limit: None, events, counters };
        let name = TaskName::new("count").expect("a name");
        let router = Router::default();
        router.insert(name, route);
        Self {
            executor: executor(router),
            slots: Slots::new(limit, &[], Turns::new(Precedence::Weight, &[1])),
            // Its other end is gone: every exchange fails.
            origin: origin(Arc::new(memory::pair().0)),
            runs: Arc::default(),
        }
    }

    /// Delivers a task; false when it is not new.
    fn take(&self, id: &str) -> bool {
        let slot = self.slots.acquire(OrchestratorIndex(0)).now_or_never().expect("a free slot");
        self.executor.accept(&self.origin, Box::new(task(id)), b"", slot, Instant::now())
    }

    /// The result of a task, once it has one.
    fn result(&self, id: &str) -> Option<Value> {
        let (seen, _) = self.origin.delivery.seen(&TaskId::received(id).expect("an id"))?;
        Some(serde_json::from_slice(&seen.body).expect("JSON"))
    }

    async fn ended(&self) {
        self.executor.tasks.close();
        self.executor.tasks.wait().await;
        self.executor.tasks.reopen();
    }

    fn cancel(&self, orchestrator: usize, id: &str) -> bool {
        self.executor.running.cancel(OrchestratorIndex(orchestrator), id)
    }
}

fn task(id: &str) -> Task {
    let text = format!(r#"{{"job_id":"j","task_id":"{id}","type":"count","params":{{}}}}"#);
    Task::parse(text.as_bytes()).expect("a task")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_while_it_is_delivered_again_runs_once() {
    let site = Bench::new(4);
    for round in 0..1000 {
        let id = format!("t{round}");
        assert!(site.take(&id));
        // Without a pause, so that one of these meets the very moment of the end.
        while site.result(&id).is_none() || !site.executor.running.task_ids().is_empty() {
            assert!(!site.take(&id), "round {round}");
        }
        assert!(!site.take(&id), "round {round}");
    }
    site.ended().await;
    assert_eq!(site.runs.load(Ordering::SeqCst), 1000);
}

#[tokio::test]
async fn a_malformed_one_is_answered_once_and_not_while_it_runs() {
    let site = Bench::new(4);
    let (job_id, task_id) = (JobId::received("j").expect("an id"), TaskId::received("t").expect("an id"));
    let again = || site.executor.refuse(&site.origin, job_id.clone(), task_id.clone(), "odd");
    assert!(site.take("t"));
    assert!(!again(), "it runs");
    site.ended().await;
    assert!(!again(), "it has ended");
    assert_eq!((site.runs.load(Ordering::SeqCst), site.executor.running.task_ids().len()), (1, 0));
    let other = TaskId::received("other").expect("an id");
    assert!(site.executor.refuse(&site.origin, job_id.clone(), other.clone(), "odd"));
    assert!(!site.executor.refuse(&site.origin, job_id, other, "odd"));
    assert_eq!(site.result("other").expect("answered")["error"]["code"], "INVALID_INPUT_ERROR");
    assert!(site.executor.running.task_ids().is_empty());
}

#[tokio::test]
async fn what_is_told_to_stop_before_it_begins_does_not_run() {
    let site = Bench::new(4);
    assert!(site.take("cancelled"));
    assert!(site.cancel(0, "cancelled"));
    site.executor.running.cancel_all(&Cause::Shutdown);
    assert!(site.take("late"), "it is answered");
    site.ended().await;
    assert_eq!(site.runs.load(Ordering::SeqCst), 0);
    assert_eq!(site.result("cancelled").expect("answered")["status"], "cancelled");
    let late = site.result("late").expect("answered");
    assert_eq!(
        (&late["error"]["code"], &late["error"]["message"]),
        (&"TRANSIENT_ERROR".into(), &"worker shut down".into())
    );
    assert_eq!(site.slots.free(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_progress_that_nobody_takes() {
    for (shuts_down, limit) in [(true, Duration::from_secs(1)), (false, Duration::from_secs(6))] {
        let handler = async |context: TaskContext| {
            context.send_progress(0.5, "half");
            tokio::task::yield_now().await;
        };
        let site = Bench::with(4, TaskService::new(HandlerService::new(handler, ())));
        let began = Instant::now();
        assert!(site.take("t"));
        // It reports now.
        tokio::task::yield_now().await;
        if shuts_down {
            site.executor.running.cancel_all(&Cause::Shutdown);
        }
        site.ended().await;
        assert!(site.result("t").is_some());
        let took = began.elapsed();
        assert!(took <= limit && took >= limit / 3, "{shuts_down}: {took:?}");
    }
}

#[tokio::test]
async fn only_the_orchestrator_that_a_task_came_from_can_cancel_it() {
    let site = Bench::new(4);
    assert!(site.take("own"));
    for id in ["own", "j"] {
        assert!(!site.cancel(1, id), "{id}");
    }
    assert!(!site.cancel(0, "nobody"));
    site.ended().await;
    assert_eq!(site.runs.load(Ordering::SeqCst), 1);
    assert_eq!(site.result("own").expect("answered")["status"], "success");
}

#[tokio::test]
async fn a_blocking_handler_that_ended_before_it_was_told_to_stop_has_ended() {
    let (go, may_end) = std::sync::mpsc::channel();
    let may_end = Arc::new(std::sync::Mutex::new(may_end));
    let handler =
        crate::task::handler::blocking(move || may_end.lock().expect("no panic").recv().expect("it is told"));
    let site = Bench::with(1, TaskService::new(HandlerService::new(handler, ())));
    assert!(site.take("t"));
    // The thread is made when the task is first polled; from then on this thread does not let it see the outcome.
    tokio::task::yield_now().await;
    go.send(()).expect("it runs");
    while site.executor.threads.idle() == 0 {
        std::thread::yield_now();
    }
    assert!(site.cancel(0, "t"));
    site.ended().await;
    assert_eq!(site.result("t").expect("answered")["status"], "success");
}
