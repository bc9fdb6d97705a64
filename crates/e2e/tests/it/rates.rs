//! The orchestrators' own limits on the rate of requests, on by default. Slow: only a minute of silence opens a
//! window again.

use std::time::Duration;

use e2e::{LIMIT, OrchestratorOptions, Request, Version, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(a_worker_that_meets_the_default_limit_comes_back_by_itself);

/// More than the 60 polls that both take in a window, and fewer than the 100 results.
const JOBS: usize = 75;

/// The window is a minute from the last request, refused ones included. A moment less than a minute, because these
/// are the times of the answers.
const SILENCE: f64 = 59.5;

fn a_worker_that_meets_the_default_limit_comes_back_by_itself(version: Version) {
    let orchestrator = OrchestratorOptions::new(version).rate_limited().start();
    // Heartbeats and registrations stay far below their own limits.
    let mut worker = WorkerOptions::new(&orchestrator).with("HEARTBEAT_INTERVAL", "5").start();
    orchestrator.wait_for_worker(worker.id());

    let jobs: Vec<_> = (0..JOBS).map(|index| orchestrator.submit("echo", &json!({ "n": index }))).collect();
    until("a poll is refused", LIMIT, || (orchestrator.count(is_refused) > 0).then_some(()));
    until("the worker comes back and runs the rest", 3 * LIMIT, || {
        (orchestrator.results().len() >= JOBS).then_some(())
    });
    for job in &jobs {
        orchestrator.wait_for_status(job, "finished");
    }
    assert_eq!(orchestrator.results().len(), JOBS, "a result was sent twice");

    let polls: Vec<Request> = orchestrator.requests().into_iter().filter(Request::is_poll).collect();
    let refused: Vec<_> = polls.iter().filter(|poll| is_refused(poll)).collect();
    // Of the polls that are under way at the limit several can be refused, and others be held for a second.
    let last =
        refused.iter().rfind(|poll| poll.answered < refused[0].answered + 5.0).expect("at least itself");
    let after = polls.iter().find(|poll| poll.answered >= last.answered + 5.0).expect("it came back");
    let silence = after.answered - last.answered;
    assert!(silence >= SILENCE, "knocked after {silence} s: {after:?}");
    assert!(refused.len() < 16 && !is_refused(after), "refused: {refused:?}");
    // Said once, and with what to do about it.
    let said: Vec<_> = worker.log().lines().into_iter().filter(|line| line.contains("(429)")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("INFO") && said[0].contains("RATE_LIMIT"), "{said:?}");
    assert_eq!(crate::terminate(&mut worker, Duration::from_secs(20)), 0);
}

fn is_refused(request: &Request) -> bool {
    request.is_poll() && request.status == 429
}
