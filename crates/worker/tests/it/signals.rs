//! The example program and the signals of its process.

use std::fs;
use std::time::Duration;

use serde_json::json;
use testkit::{Endpoint, PATIENCE, Process, Program, Script, ScriptedOrchestrator};

use crate::support::{configured, each, program, program_path, push, started, wait_for_heartbeat, watch_for};

const TERM: u32 = 15;

/// The program, started by a shell after these commands.
fn after(commands: &str, url: &str, variables: &[(&str, &str)]) -> Program {
    let shell = Program::new("sh").args(["-c", &format!("{commands} exec \"$0\"")]).args([program_path()]);
    configured(shell, url, variables)
}

async fn code(process: &mut Process) -> Option<i32> {
    process.wait(PATIENCE).await.code()
}

/// Waits until the process has a handler for this signal.
async fn until_caught(id: u32, signal: u32) {
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
        u64::from_str_radix(mask.trim(), 16).expect("a number") & (1 << (signal - 1)) != 0
    };
    while !caught() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn from_the_first_moment_of_a_run_on_a_signal_ends_it_with_0() {
    let orchestrator = ScriptedOrchestrator::start().await;
    for delay in [0, 0, 0, 1, 2, 3, 5, 8, 13, 21, 34] {
        let mut process = program(&orchestrator.url(), &[("WORKER_ID", "")]).start();
        until_caught(process.id().expect("it runs"), TERM).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        process.terminate();
        assert_eq!(code(&mut process).await, Some(0), "after {delay} ms: {:?}", process.lines());
    }
}

#[tokio::test]
async fn a_signal_just_after_the_end_costs_no_line_of_the_log() {
    each([0, 1, 3, 10, 20], async |delay| {
        let mut process = program("http://127.0.0.1:1", &[("WORKER_ID", "")]).start();
        process.wait_for_line("does not answer").await;
        process.signal("INT");
        tokio::time::sleep(Duration::from_millis(delay)).await;
        process.signal("INT");
        let code = code(&mut process).await;
        assert!(
            process.printed("the worker has stopped"),
            "{code:?} after {delay} ms: {:#?}",
            process.lines()
        );
    })
    .await;
}

#[tokio::test]
async fn three_signals_at_once_cost_no_line_of_the_log() {
    for _ in 0..5 {
        let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
        let mut process = program(&orchestrator.url(), &[]).start();
        push(&orchestrator, "block", json!({"seconds": 30}));
        wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
        for _ in 0..3 {
            process.signal("INT");
            // Two that wait at once count as one.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let code = code(&mut process).await;
        for line in ["shutting down", "cancelling"] {
            assert!(process.printed(line), "{code:?}, no {line}: {:#?}", process.lines());
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn as_process_1_the_third_signal_ends_it_too() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork"];
    let permitted = std::process::Command::new("unshare").args(unshare).arg("true").output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        return; // The system does not permit it.
    }
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let outside = Program::new("unshare").args(unshare).args([program_path()]);
    let mut process = configured(outside, &orchestrator.url(), &[]).start();
    orchestrator.wait_for_open_polls(1).await;
    let outer = process.id().expect("it runs");
    let inner = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).expect("a child");
    let terminate = || {
        let sent = std::process::Command::new("kill").args(["-s", "TERM", inner.trim()]).status();
        assert!(sent.expect("kill exists").success());
    };
    push(&orchestrator, "block", json!({"seconds": 30}));
    wait_for_heartbeat(&orchestrator, |body| body["load"] == 1.0).await;
    for line in ["shutting down", "cancelling"] {
        terminate();
        process.wait_for_line(line).await;
    }
    terminate();
    assert_eq!(code(&mut process).await, Some(128 + 15), "{:#?}", process.lines());
}

#[tokio::test]
async fn a_closed_terminal_ends_it_with_0_and_nohup_keeps_it() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut process = started(&orchestrator, &[("WORKER_ID", "")]).await;
    process.signal("HUP");
    assert_eq!(code(&mut process).await, Some(0), "{:?}", process.lines());
    let mut process = after("trap '' HUP;", &orchestrator.url(), &[("WORKER_ID", "")]).start();
    process.wait_for_line("registered").await;
    process.signal("HUP");
    watch_for(Duration::from_millis(500)).await;
    assert!(!process.printed("shutting down"), "{:?}", process.lines());
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0));
}

#[tokio::test]
async fn a_file_that_is_too_large_fails_its_task_and_not_the_worker() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().to_str().expect("a text");
    let mut process = after("ulimit -f 64;", &orchestrator.url(), &[("TASK_FILES_DIR", files)]).start();
    process.wait_for_line("registered").await;
    for content in ["x".repeat(1 << 20), "x".repeat(2 << 20)] {
        let id = push(&orchestrator, "write_file", json!({"name": "a", "content": content}));
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!(result["error"]["code"], "RESOURCE_EXHAUSTED_ERROR", "{result}");
    }
    let id = push(&orchestrator, "write_file", json!({"name": "a", "content": "x"}));
    assert_eq!(orchestrator.wait_for_result(&id).await["status"], "success");
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0), "{:?}", process.lines());
}

#[tokio::test]
async fn a_program_without_output_works_and_ends_as_any_other() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut process = after("exec >&- 2>&-;", &orchestrator.url(), &[("WORKER_ID", "")]).start();
    orchestrator.wait_for_requests(Endpoint::Poll, 1).await;
    process.signal("INT");
    assert_eq!(code(&mut process).await, Some(0));
}
