//! The orchestrators' limits on the rate of requests, which are on by default. The tests are slow, because requests are
//! accepted again only after a minute of silence.

use std::time::Duration;

use e2e::{LIMIT, OrchestratorOptions, Request, Version, WorkerOptions, until};
use serde_json::json;

with_both_orchestrators!(a_worker_that_reaches_the_default_limit_continues_by_itself);

/// More than the 60 polls that both orchestrators accept in a window, and fewer than the 100 results.
const JOBS: usize = 75;

/// The least time without polls, in seconds. A window ends a minute after the last request, even a refused one. The
/// limit is shorter than a minute, because the log has the times of the answers.
const MIN_SILENCE: f64 = 59.5;

fn a_worker_that_reaches_the_default_limit_continues_by_itself(version: Version) {
    let orchestrator = OrchestratorOptions::new(version).rate_limited().start();
    // Heartbeats and registrations stay far below their own limits.
    let mut worker = WorkerOptions::new(&orchestrator).with("HEARTBEAT_INTERVAL", "5").start();
    orchestrator.wait_for_worker(worker.id());

    let jobs: Vec<_> = (0..JOBS).map(|index| orchestrator.submit("echo", &json!({ "n": index }))).collect();
    until("a poll is refused", LIMIT, || (orchestrator.count(is_refused) > 0).then_some(()));
    until("the worker polls again and runs the rest", 3 * LIMIT, || {
        (orchestrator.results().len() >= JOBS).then_some(())
    });
    for job in &jobs {
        orchestrator.wait_for_status(job, "finished");
    }
    assert_eq!(orchestrator.results().len(), JOBS, "a result was sent twice");

    let polls: Vec<Request> = orchestrator.requests().into_iter().filter(Request::is_poll).collect();
    let refused: Vec<_> = polls.iter().filter(|poll| is_refused(poll)).collect();
    // Several polls may be under way when the limit is reached: some of them are refused, others are held for a second.
    let last =
        refused.iter().rfind(|poll| poll.answered < refused[0].answered + 5.0).expect("at least itself");
    let after =
        polls.iter().find(|poll| poll.answered >= last.answered + 5.0).expect("the worker polls again");
    let silence = after.answered - last.answered;
    assert!(silence >= MIN_SILENCE, "polled after {silence} s: {after:?}");
    assert!(refused.len() < 16 && !is_refused(after), "refused: {refused:?}");
    // One line is logged, and it names the orchestrator's option.
    let lines: Vec<_> = worker.log().lines().into_iter().filter(|line| line.contains("(429)")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("INFO") && lines[0].contains("RATE_LIMIT"), "{lines:?}");
    assert_eq!(crate::terminate(&mut worker, Duration::from_secs(20)), 0);
}

fn is_refused(request: &Request) -> bool {
    request.is_poll() && request.status == 429
}
