use std::sync::atomic::{AtomicUsize, Ordering};

use rxon::model::Task;
use rxon::{JobId, TaskName};
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::WorkerConfig;
use crate::execution::router::Router;
use crate::task::handler::{HandlerService, TaskService};
use crate::worker::assembly::{Assembly, session};
use crate::worker::plan::Plan;

/// What tasks need, without anybody who polls, and how often their handler ran.
fn parts(limit: usize) -> (Arc<Core>, Arc<Session>, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let handler = async move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let (core, session) = parts_for(limit, TaskService::new(HandlerService::new(handler, ())));
    (core, session, runs)
}

fn parts_for(limit: usize, service: TaskService) -> (Arc<Core>, Arc<Session>) {
    let mut router = Router::default();
    let name = TaskName::new("count").expect("a name");
    router.add(
        name,
        None,
        Route { service, group: None, time_limit: None, events: Arc::default(), described: Arc::default() },
    );
    let plan = Plan {
        router,
        group_limits: Vec::new(),
        skill_dependencies: std::collections::BTreeMap::new(),
        // Nobody listens there.
        config: WorkerConfig::defaults().orchestrator_url("http://127.0.0.1:1".parse().ok()),
        worker_type: None,
        max_concurrent_tasks: Some(limit),
        capacity_checker: None,
        on_ignored: None,
        on_command: None,
        hooks: crate::worker::hooks::Hooks::default(),
        controls: Arc::default(),
        storage: None,
    };
    let core = Assembly::new(plan).expect("a worker").core;
    let session = session(&core, 0, &core.config.orchestrators()[0], &TaskTracker::new()).expect("a session");
    (core, session)
}

fn task(id: &str) -> Task {
    let text = format!(r#"{{"job_id":"j","task_id":"{id}","type":"count","params":{{}}}}"#);
    Task::parse(text.as_bytes()).expect("a task")
}

fn take(core: &Arc<Core>, session: &Arc<Session>, id: &str) -> bool {
    accept(core, session, task(id), b"", core.slots.acquire(0).now_or_never().expect("a free slot"))
}

/// What a task ended in, once it has.
fn result(session: &Session, id: &str) -> Option<Value> {
    let (seen, _) = session.delivery.seen(&TaskId::received(id).expect("an id"))?;
    Some(serde_json::from_slice(&seen.body).expect("JSON"))
}

async fn ended(core: &Core) {
    core.tasks.close();
    core.tasks.wait().await;
    core.tasks.reopen();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_while_it_is_delivered_again_runs_once() {
    let (core, session, runs) = parts(4);
    for round in 0..1000 {
        let id = format!("t{round}");
        assert!(take(&core, &session, &id));
        // Without a pause, so that one of these meets the very moment of the end.
        while result(&session, &id).is_none() || !core.running.task_ids().is_empty() {
            assert!(!take(&core, &session, &id), "round {round}");
        }
        assert!(!take(&core, &session, &id), "round {round}");
    }
    ended(&core).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1000);
}

#[tokio::test]
async fn a_malformed_one_is_answered_once_and_not_while_it_runs() {
    let (core, session, runs) = parts(4);
    let (job_id, task_id) = (JobId::received("j").expect("an id"), TaskId::received("t").expect("an id"));
    let again = || refuse(&core, &session, job_id.clone(), task_id.clone(), "odd");
    assert!(take(&core, &session, "t"));
    assert!(!again(), "it runs");
    ended(&core).await;
    assert!(!again(), "it has ended");
    assert_eq!((runs.load(Ordering::SeqCst), core.running.task_ids().len()), (1, 0));
    let other = TaskId::received("other").expect("an id");
    assert!(refuse(&core, &session, job_id.clone(), other.clone(), "odd"));
    assert!(!refuse(&core, &session, job_id, other, "odd"));
    assert_eq!(result(&session, "other").expect("answered")["error"]["code"], "INVALID_INPUT_ERROR");
    assert!(core.running.task_ids().is_empty());
}

#[tokio::test]
async fn what_is_told_to_stop_before_it_begins_does_not_run() {
    let (core, session, runs) = parts(4);
    assert!(take(&core, &session, "cancelled"));
    assert!(core.running.cancel(session.who, "cancelled", &Cause::Command));
    core.running.cancel_all(&Cause::Shutdown);
    assert!(take(&core, &session, "late"), "it is answered");
    ended(&core).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    assert_eq!(result(&session, "cancelled").expect("answered")["status"], "cancelled");
    let late = result(&session, "late").expect("answered");
    assert_eq!(
        (&late["error"]["code"], &late["error"]["message"]),
        (&"TRANSIENT_ERROR".into(), &"worker shut down".into())
    );
    assert_eq!(core.slots.free(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_progress_that_nobody_takes() {
    for (shuts_down, limit) in [(true, Duration::from_secs(1)), (false, Duration::from_secs(6))] {
        let (core, session, _runs) = parts(4);
        let (task_id, job_id) = (TaskId::received("t").expect("an id"), JobId::received("j").expect("an id"));
        session.progress.begin(&task_id);
        session.progress.report(&task_id, &job_id, 0.5, "half".to_owned());
        if shuts_down {
            core.running.cancel_all(&Cause::Shutdown);
        }
        let began = Instant::now();
        assert!(take(&core, &session, "t"));
        ended(&core).await;
        assert!(result(&session, "t").is_some());
        let took = began.elapsed();
        assert!(took <= limit && took >= limit / 3, "{shuts_down}: {took:?}");
    }
}

#[tokio::test]
async fn only_the_orchestrator_that_a_task_came_from_can_cancel_it() {
    let (core, session, runs) = parts(4);
    assert!(take(&core, &session, "own"));
    for id in ["own", "j"] {
        assert!(!core.running.cancel(session.who + 1, id, &Cause::Command), "{id}");
    }
    assert!(!core.running.cancel(session.who, "nobody", &Cause::Command));
    ended(&core).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(result(&session, "own").expect("answered")["status"], "success");
}

#[tokio::test]
async fn a_blocking_handler_that_ended_before_it_was_told_to_stop_has_ended() {
    let (go, may_end) = std::sync::mpsc::channel();
    let may_end = Arc::new(std::sync::Mutex::new(may_end));
    let handler = crate::blocking(move || may_end.lock().expect("no panic").recv().expect("it is told"));
    let (core, session) = parts_for(1, TaskService::new(HandlerService::new(handler, ())));
    assert!(take(&core, &session, "t"));
    // The thread is made when the task is first polled; from then on this thread does not let it see the outcome.
    tokio::task::yield_now().await;
    go.send(()).expect("it runs");
    while core.threads.idle() == 0 {
        std::thread::yield_now();
    }
    assert!(core.running.cancel(session.who, "t", &Cause::Command));
    ended(&core).await;
    assert_eq!(result(&session, "t").expect("answered")["status"], "success");
}
