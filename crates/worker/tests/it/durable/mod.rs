//! Results and running tasks survive the process (`WORKER_OUTBOX_DIR`): the example program, killed and started again.

mod ends;
mod faults;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Answer, Endpoint, PATIENCE, Process, Recorded, Script, ScriptedOrchestrator};

use crate::support::{Running, config, each, program, push, started, until, wait_for_heartbeat, watch_for};

/// A folder for results, and its path as a variable's value.
struct Outbox(TempDir);

impl Outbox {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("UTF-8")
    }

    /// The names of what is in it.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder").filter_map(Result::ok);
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    async fn start(&self, orchestrator: &ScriptedOrchestrator, variables: &[(&str, &str)]) -> Process {
        let own = [("WORKER_OUTBOX_DIR", self.path())];
        let all: Vec<_> = own.iter().chain(variables).copied().collect();
        let before = orchestrator.count(Endpoint::Register);
        let process = program(&orchestrator.url(), &all).start();
        orchestrator.wait_for_requests(Endpoint::Register, before + 1).await;
        process
    }
}

async fn kill(process: &mut Process) {
    process.kill();
    assert_eq!(process.wait(PATIENCE).await.code(), None);
}

/// What the orchestrator was sent for this task.
fn tries(orchestrator: &ScriptedOrchestrator, id: &str) -> Vec<Recorded> {
    let mut tries = orchestrator.requests(Endpoint::Result);
    tries.retain(|request| request.json()["task_id"] == id);
    tries
}

/// Waits for a try of this task's result after so many.
async fn wait_for_try(orchestrator: &ScriptedOrchestrator, id: &str, after: usize) -> Value {
    until(|| tries(orchestrator, id).len() > after).await;
    tries(orchestrator, id)[after].json()
}

/// Waits until a heartbeat says that the worker has this task.
async fn wait_until_current(orchestrator: &ScriptedOrchestrator, id: &str) {
    let id = json!(id);
    let has_it =
        move |body: &Value| body["current_tasks"].as_array().is_some_and(|tasks| tasks.contains(&id));
    wait_for_heartbeat(orchestrator, has_it).await;
}

#[tokio::test]
async fn a_result_survives_a_kill_during_its_first_try() {
    each([Script::older(), Script::newer()], async |script| {
        let (orchestrator, outbox) = (ScriptedOrchestrator::start_with(script).await, Outbox::new());
        let mut process = outbox.start(&orchestrator, &[]).await;
        orchestrator.answer_always(Endpoint::Result, Answer::Hang);
        let id = push(&orchestrator, "echo", json!({"a": 0.1, "b": "é"}));
        orchestrator.wait_for_result(&id).await;
        kill(&mut process).await;
        orchestrator.answer_normally(Endpoint::Result);
        let mut process = outbox.start(&orchestrator, &[]).await;
        let second = wait_for_try(&orchestrator, &id, 1).await;
        let first = tries(&orchestrator, &id)[0].json();
        assert_eq!(first["data"], json!({"a": 0.1, "b": "é"}));
        for same in ["job_id", "status", "data", "worker_id", "costs"] {
            assert_eq!(first[same], second[same], "{same}");
        }
        assert_ne!(first["nonce"], second["nonce"], "sealed anew");
        assert_ne!(first["security"]["signature"], second["security"]["signature"]);
        // Acknowledged is gone, for those after it too.
        process.signal("INT");
        assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
        assert_eq!(outbox.files(), Vec::<String>::new());
        let _process = outbox.start(&orchestrator, &[]).await;
        watch_for(Duration::from_millis(500)).await;
        assert_eq!(tries(&orchestrator, &id).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn all_members_of_a_result_come_back_from_disk_byte_by_byte() {
    let further = |outcome: Outcome| {
        outcome
            .with_metadata(json!({"m": 1e-7}))
            .with_costs(json!({"tokens": 7, "execution_time_seconds": 2.50}))
    };
    let builder = || {
        let review = async move || {
            let blurred = TaskError::new("BLURRED", "not sharp").with_details(json!({"at": "é"}));
            further(Outcome::status("needs_review", json!({"n": 0.1})).with_error(blurred))
        };
        let failing = TaskError::permanent("no").with_data(json!({"d": 0.1}));
        let fail = async move || further(Outcome::Failed(failing.clone()));
        Worker::builder().task("review", review).task("fail", fail)
    };
    let (orchestrator, outbox) = (ScriptedOrchestrator::start_with(Script::newer()).await, Outbox::new());
    let start = || {
        let variables = [("WORKER_OUTBOX_DIR", outbox.path()), ("WORKER_SHUTDOWN_TIMEOUT", "1")];
        Running::start(builder().config(config(&orchestrator.url(), &variables)).build().expect("a worker"))
    };
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    let worker = start();
    let ids = ["review", "fail"].map(|name| push(&orchestrator, name, json!({})));
    until(|| ids.iter().all(|id| !tries(&orchestrator, id).is_empty())).await;
    worker.stop().await;
    let before = ids.each_ref().map(|id| tries(&orchestrator, id).len());
    orchestrator.answer_normally(Endpoint::Result);
    let _worker = start();
    for (id, before) in ids.iter().zip(before) {
        wait_for_try(&orchestrator, id, before).await;
        let unsealed = tries(&orchestrator, id).into_iter().map(|request| {
            let text = String::from_utf8(request.body.to_vec()).expect("UTF-8");
            let (unsealed, _seal) = text.rsplit_once(",\"timestamp\":").expect("sealed");
            unsealed.to_owned()
        });
        let unsealed: Vec<_> = unsealed.collect();
        assert_eq!(unsealed[0], unsealed[before]);
        for member in ["\"error\":{", "\"data\":{", r#""metadata":{"m":1e-7}"#, r#""tokens":7"#] {
            assert!(unsealed[0].contains(member), "{member}: {}", unsealed[0]);
        }
    }
}

#[tokio::test]
async fn every_result_of_a_burst_survives_and_none_is_sent_twice_once_acknowledged() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.on(Endpoint::Result, |request| {
        let number = request.json()["data"]["number"].as_u64()?;
        (number >= 50).then(|| Answer::status(503))
    });
    let ids: Vec<_> = (0..100).map(|number| push(&orchestrator, "echo", json!({"number": number}))).collect();
    let count = || -> Vec<usize> {
        let mut counts = BTreeMap::<String, usize>::new();
        for request in orchestrator.requests(Endpoint::Result) {
            *counts.entry(request.json()["task_id"].as_str().expect("a text").to_owned()).or_default() += 1;
        }
        ids.iter().map(|id| counts.get(id).copied().unwrap_or_default()).collect()
    };
    until(|| count().iter().all(|tries| *tries > 0)).await;
    // The acknowledgement of the last one is on its way.
    watch_for(Duration::from_millis(300)).await;
    kill(&mut process).await;
    let before = count();
    assert!(before[..50].iter().all(|tries| *tries == 1), "{before:?}");
    let _process = outbox.start(&orchestrator, &[]).await;
    until(|| count().iter().zip(&before).skip(50).all(|(now, before)| now > before)).await;
    assert!(count()[..50].iter().all(|tries| *tries == 1));
}

#[tokio::test]
async fn the_third_death_with_the_same_task_is_final_and_a_graceful_end_is_none() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    let mut task = testkit::task("sleep", json!({"seconds": 30}));
    let mut codes = Vec::new();
    for number in 0..3 {
        // Dispatched again, it has another id.
        task["task_id"] = json!(format!("dispatched-{number}"));
        orchestrator.push_task(&task);
        let id = format!("dispatched-{number}");
        wait_until_current(&orchestrator, &id).await;
        process.wait_for_line("task started").await;
        kill(&mut process).await;
        process = outbox.start(&orchestrator, &[]).await;
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!((&result["status"], &result["job_id"]), (&json!("failure"), &task["job_id"]));
        let message = result["error"]["message"].as_str().expect("a text");
        assert!(message.starts_with("worker process died"), "{message}");
        codes.push(result["error"]["code"].clone());
        let line = process.wait_for_line("tasks died with the process").await;
        assert!(line.contains("WARN"), "{line}");
    }
    assert_eq!(codes, ["TRANSIENT_ERROR", "TRANSIENT_ERROR", "PERMANENT_ERROR"]);
    // One that is cancelled by the end of the worker is answered, and does not count.
    let id = push(&orchestrator, "sleep", json!({"seconds": 30}));
    wait_until_current(&orchestrator, &id).await;
    process.terminate();
    process.wait_for_line("shutting down").await;
    process.terminate();
    assert_eq!(process.wait(PATIENCE).await.code(), Some(1));
    assert_eq!(orchestrator.wait_for_result(&id).await["error"]["message"], "worker shut down");
    let process = outbox.start(&orchestrator, &[]).await;
    orchestrator.wait_for_requests(Endpoint::Heartbeat, 1).await;
    watch_for(Duration::from_millis(300)).await;
    assert!(!process.printed("died") && tries(&orchestrator, &id).len() == 1);
}

#[tokio::test]
async fn a_task_that_still_waited_for_its_group_is_answered_too() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let limits = [("CONFORMANCE_TYPE_PATIENCES", r#"{"video_processing": 1}"#)];
    let mut process = outbox.start(&orchestrator, &limits).await;
    let ids = [(); 2].map(|()| push(&orchestrator, "video", json!({"seconds": 30})));
    for id in &ids {
        wait_until_current(&orchestrator, id).await;
    }
    // What comes after them is on disk when it is sent, and so are they.
    let later = push(&orchestrator, "echo", json!({}));
    wait_for_try(&orchestrator, &later, 0).await;
    kill(&mut process).await;
    let _process = outbox.start(&orchestrator, &limits).await;
    for id in ids {
        let result = orchestrator.wait_for_result(&id).await;
        assert_eq!(result["error"]["code"], "TRANSIENT_ERROR", "{result}");
    }
}

#[tokio::test]
async fn a_task_delivered_again_after_the_kill_is_not_run_while_its_result_is_on_its_way() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    let task = testkit::task("echo", json!({}));
    let id = task["task_id"].as_str().expect("a text");
    orchestrator.push_task(&task);
    orchestrator.wait_for_result(id).await;
    kill(&mut process).await;
    let process = outbox.start(&orchestrator, &[]).await;
    orchestrator.push_task(&task);
    process.wait_for_line("delivered again: its result is on its way").await;
    assert!(!process.printed("task started"));
}

fn rejected(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("w-1.rejected.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn what_is_refused_for_good_stays_for_people_and_its_replacement_survives() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.answer_next(Endpoint::Result, Answer::Json(422, json!({"error": "no good"})));
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({"a": 1}));
    wait_for_try(&orchestrator, &id, 1).await;
    until(|| rejected(outbox.0.path()).len() == 1).await;
    // What is written for people is written first; what comes after all of that is on disk when it is sent.
    let later = push(&orchestrator, "echo", json!({}));
    wait_for_try(&orchestrator, &later, 0).await;
    kill(&mut process).await;
    let line = &rejected(outbox.0.path())[0];
    assert_eq!((&line["result"]["data"], &line["task_id"]), (&json!({"a": 1}), &json!(id)));
    let reason = line["reason"].as_str().expect("a text");
    assert!(reason.starts_with("result refused: 422") && reason.contains("no good"), "{reason}");
    orchestrator.answer_normally(Endpoint::Result);
    let before = tries(&orchestrator, &id).len();
    let _process = outbox.start(&orchestrator, &[]).await;
    let replacement = wait_for_try(&orchestrator, &id, before).await;
    assert_eq!(replacement["error"]["code"], "PERMANENT_ERROR");
}

/// Its age is that of two clocks, of which one may be wrong: it is tried for an hour before its age counts.
#[tokio::test]
async fn what_seems_too_old_at_the_start_is_tried_like_any_other() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let short = [("WORKER_RESULT_MAX_AGE", "1")];
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(502));
    let id = push(&orchestrator, "echo", json!({}));
    wait_for_try(&orchestrator, &id, 0).await;
    kill(&mut process).await;
    watch_for(Duration::from_secs(1)).await;
    let before = tries(&orchestrator, &id).len();
    let process = outbox.start(&orchestrator, &short).await;
    wait_for_try(&orchestrator, &id, before + 2).await;
    orchestrator.answer_normally(Endpoint::Result);
    wait_for_try(&orchestrator, &id, tries(&orchestrator, &id).len()).await;
    assert!(!process.printed("given up") && rejected(outbox.0.path()).is_empty());
}

#[tokio::test]
async fn what_an_older_orchestrator_may_have_got_is_not_repeated_where_that_is_forbidden() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start_with(Script::older()).await, Outbox::new());
    let once =
        [("RESULT_RESEND_AMBIGUOUS", "false"), ("RESULT_RETRY_INITIAL_DELAY", "60"), ("LOG_LEVEL", "debug")];
    let mut process = outbox.start(&orchestrator, &once).await;
    orchestrator.answer_next(Endpoint::Result, Answer::Hang);
    let hung = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_result(&hung).await;
    // This one was answered: it was not taken, and may be repeated.
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    let refused = push(&orchestrator, "echo", json!({}));
    process.wait_for_line("result not sent, tried again").await;
    // What comes after that is on disk when it is sent.
    let later = push(&orchestrator, "echo", json!({}));
    wait_for_try(&orchestrator, &later, 0).await;
    kill(&mut process).await;
    let before = tries(&orchestrator, &refused).len();
    let process = outbox.start(&orchestrator, &once).await;
    wait_for_try(&orchestrator, &refused, before).await;
    let line = process.wait_for_line("it was being sent when the process died").await;
    assert!(line.contains("ERROR") && line.contains(&hung), "{line}");
    let given_up = |id: &str| rejected(outbox.0.path()).iter().any(|line| line["task_id"] == id);
    until(|| given_up(&hung)).await;
    assert!(!given_up(&refused) && tries(&orchestrator, &hung).len() == 1);
}

#[tokio::test]
async fn a_task_that_cannot_be_read_is_answered_durably() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::Hang);
    orchestrator.push_task(json!({"job_id": "j", "task_id": "odd", "type": 7, "params": {}}));
    orchestrator.wait_for_result("odd").await;
    kill(&mut process).await;
    orchestrator.answer_normally(Endpoint::Result);
    let _process = outbox.start(&orchestrator, &[]).await;
    assert_eq!(wait_for_try(&orchestrator, "odd", 1).await["error"]["code"], "INVALID_INPUT_ERROR");
}

#[tokio::test]
async fn without_the_folder_nothing_is_written_and_readiness_says_so() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let process = program(&orchestrator.url(), &[("WORKER_HOST", "127.0.0.1")]).start();
    let (ready, metrics) = faults::looked_at(&process).await;
    assert_eq!(ready["outbox_on_disk"], Value::Null);
    assert!(metrics.contains("avtomatika_worker_outbox_on_disk 0"), "{metrics}");
    let process = started(&orchestrator, &[]).await;
    assert!(!process.printed("WORKER_OUTBOX_DIR"));
}
