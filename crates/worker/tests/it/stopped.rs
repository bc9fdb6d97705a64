//! A process that does not run for a while: SIGSTOP, as by a paused container.

use std::time::Duration;

use serde_json::json;
use testkit::{Endpoint, Process, Script, ScriptedOrchestrator};

use crate::support::{push, run, started, watch_for};

/// A worker that gives a poll up after 6 s, at an orchestrator that holds polls for longer.
async fn polling(slots: &str) -> (ScriptedOrchestrator, Process) {
    let hold = Duration::from_secs(60);
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
    let variables = [("TASK_POLL_TIMEOUT", "1"), ("MAX_CONCURRENT_TASKS", slots)];
    let process = started(&orchestrator, &variables).await;
    orchestrator.wait_for_open_polls(1).await;
    (orchestrator, process)
}

#[tokio::test]
async fn tasks_that_were_written_to_open_polls_meanwhile_are_run() {
    let (orchestrator, process) = polling("8").await;
    // A burst, after which several pollers hold a poll.
    for id in (0..40).map(|_| push(&orchestrator, "sleep", json!({"seconds": 0.05}))).collect::<Vec<_>>() {
        orchestrator.wait_for_result(&id).await;
    }
    orchestrator.wait_for_open_polls(2).await;
    process.signal("STOP");
    let open = orchestrator.open_polls();
    let ids: Vec<_> = (0..open).map(|_| push(&orchestrator, "echo", json!({}))).collect();
    // Beyond the limit of every open poll.
    watch_for(Duration::from_secs(8)).await;
    process.signal("CONT");
    for id in &ids {
        assert_eq!(orchestrator.wait_for_result(id).await["status"], "success");
    }
    process.wait_for_line("the process did not run").await;
    assert!(!process.printed("runtime the worker runs on is blocked"), "{:#?}", process.lines());
    assert_eq!(orchestrator.count(Endpoint::Result), 40 + open, "each once");
}

#[tokio::test]
async fn short_stops_lose_no_task() {
    let (orchestrator, process) = polling("2").await;
    for stop in 0..10 {
        process.signal("STOP");
        let id = push(&orchestrator, "echo", json!({}));
        tokio::time::sleep(Duration::from_millis(100 * stop)).await;
        process.signal("CONT");
        assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    }
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}
