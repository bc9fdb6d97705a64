//! The quirks of orchestrators with Redis, and of proxies before them, that cost a worker tasks: a test of each.

use std::time::Duration;

use e2e::{
    Balancer, JobId, LIMIT, Orchestrator, OrchestratorOptions, Redis, Request, Version, Worker,
    WorkerOptions, until,
};
use serde_json::{Value, json};

use super::Instances;

/// On Redis 1.0b30 makes lists of the empty objects in a registration, and then cannot compare them with requirements.
#[test]
fn a_job_with_requirements_finds_its_worker_beside_one_without_extras() {
    let instances = Instances::start(Version::V1_0b30);
    let [first, _] = &instances.all;
    let plain = WorkerOptions::new(first).start();
    let special = WorkerOptions::new(first).with("WORKER_EXTRA_ZONE", "eu").start();
    for worker in [&plain, &special] {
        first.wait_for_worker(worker.id());
    }
    let jobs: Vec<_> =
        (0..4).map(|_| first.submit_requiring("sleep", &json!({ "seconds": 0.2 }), &zone("eu"))).collect();
    instances.wait_for(&jobs);
    let count =
        |worker: &Worker| worker.log().lines().iter().filter(|line| line.contains("task started")).count();
    assert_eq!((count(&plain), count(&special)), (0, 4));
}

/// 1.0b12 answers a heartbeat as to a stranger if another one of the same worker arrives meanwhile.
#[test]
fn heartbeats_that_collide_are_no_reason_to_register_again() {
    let instances = Instances::start(Version::V1_0b12);
    let [first, second] = &instances.all;
    let worker = WorkerOptions::for_all(&[first, second])
        .with("MULTI_ORCHESTRATOR_MODE", "ROUND_ROBIN")
        .with("HEARTBEAT_INTERVAL", "0.05")
        .with("WORKER_HEARTBEAT_DEBOUNCE_DELAY", "0")
        .with("LOG_LEVEL", "debug")
        .start();
    let registrations = || instances.all.each_ref().map(|instance| instance.count(Request::is_registration));
    until("both instances know the worker", LIMIT, || (registrations() == [1, 1]).then_some(()));
    // After such an answer the worker asks with a probe, and hears that it is known.
    let is_collision = |line: &&String| line.contains("probe=true") && line.contains("Acknowledged");
    until("heartbeats have collided", LIMIT, || {
        // Each change of the worker's state is told to both instances at once.
        instances.wait_for(&instances.submit(10, "sleep", &json!({ "seconds": 0.02 })));
        assert_eq!(registrations(), [1, 1]);
        (worker.log().lines().iter().filter(is_collision).count() >= 3).then_some(())
    });
}

/// The client of Redis in 1.0b30 tries a command for longer than the hold, if the hold is longer than its time limit.
#[test]
fn a_hold_beyond_the_time_limit_of_polls_is_learned_and_no_task_is_lost_then() {
    let redis = Redis::start();
    let options = OrchestratorOptions::new(Version::V1_0b30).instance(&redis, "A");
    // A hold of 1 s lasts 8 to 11 s now, and the first poll is given up after 6 s.
    let orchestrator = options.redis_time_limit(Duration::from_millis(500)).start();
    let worker = WorkerOptions::new(&orchestrator).with("TASK_POLL_TIMEOUT", "1").start();
    let says = |what: &str| worker.log().wait_for(what, LIMIT, |line| line.contains(what));
    says("a poll was not answered within 6s, although heartbeats are");
    // The next poll ends after the abandoned one, so the orchestrator holds none that nobody reads.
    says("the orchestrator holds polls for");
    for _ in 0..3 {
        orchestrator.wait_for_status(&orchestrator.submit("echo", &json!({})), "finished");
    }
}

/// 1.0b30 gives a worker whose queue is empty the tasks in the queues of others, whatever their type.
#[test]
fn a_task_that_was_queued_for_another_worker_is_not_lost() {
    let redis = Redis::start();
    let options = OrchestratorOptions::new(Version::V1_0b30).instance(&redis, "A");
    let orchestrator = options.stealing().start();
    let owner = WorkerOptions::new(&orchestrator)
        // Only this one has the task `injected`.
        .with("CONFORMANCE_MIDDLEWARE", "1")
        .with("HEARTBEAT_INTERVAL", "0.2")
        .with("MAX_CONCURRENT_TASKS", "1")
        .with("WORKER_CAPACITY_REPORTING", "queue")
        .with("WORKER_EXTRA_ZONE", "owner")
        .start();
    let thief = WorkerOptions::new(&orchestrator).start();
    for worker in [&owner, &thief] {
        orchestrator.wait_for_worker(worker.id());
    }
    let busy = orchestrator.submit_requiring("sleep", &json!({ "seconds": 60 }), &zone("owner"));
    orchestrator.wait_for_dispatches(1);
    let jobs = [(); 2].map(|()| orchestrator.submit("injected", &json!({})));
    orchestrator.wait_for_dispatches(2);
    // The owner is free before the other worker sends the task back.
    orchestrator.cancel(&busy);
    for job in &jobs {
        until("the job is finished", LIMIT, || is_finished(&orchestrator, job, &thief).then_some(()));
    }
    let of_thief = |result: &&Value| result["worker_id"] == thief.id();
    let results = orchestrator.results();
    let codes: Vec<_> = results.iter().filter(of_thief).map(|result| &result["error"]["code"]).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| **code == "TRANSIENT_ERROR"), "{codes:?}");
}

/// Returns whether the job is finished, or cannot be: 1.0b30 ignores the result of a task that another worker got in the
/// moment in which it was queued, and then waits for the one for which it was queued.
fn is_finished(orchestrator: &Orchestrator, job: &JobId, thief: &Worker) -> bool {
    let state = orchestrator.job(job);
    let status = state["status"].as_str().unwrap_or_default();
    assert!(!["failed", "quarantined"].contains(&status), "{state}");
    let is_ignored =
        |line: &String| line.contains("worker_mismatch") && line.contains(job.to_string().as_str());
    status == "finished" || thief.log().lines().iter().any(is_ignored)
}

/// Neither orchestrator obeys the time that is asked for, so tasks are lost until the proxy's timeout is raised.
#[test]
fn a_proxy_that_ends_polls_is_named_and_shorter_polls_are_asked_for() {
    let redis = Redis::start();
    let orchestrator = OrchestratorOptions::new(Version::V1_0b30).instance(&redis, "A").hold(3).start();
    let proxy = Balancer::with_read_timeout(&[&orchestrator], Duration::from_millis(1200));
    let worker = WorkerOptions::new(&orchestrator).with("ORCHESTRATOR_URL", &proxy.url()).start();
    worker.log().wait_for("the proxy", LIMIT, |line| line.contains("a proxy ends polls after "));
    let is_shorter = |poll: &Request| poll.is_poll() && !poll.path.contains("timeout=30&");
    until("a shorter poll", LIMIT, || (orchestrator.count(is_shorter) > 0).then_some(()));
}

fn zone(name: &str) -> Value {
    json!({ "extra_requirements": { "zone": name } })
}
