//! Signed tasks, and what a job permits.

use rxon::signing::Signer;
use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint};

use crate::support::{both, run, until, watch_for};

const KEY: (&str, &str) = ("ORCHESTRATOR_SECRET_KEY", "orch-key");

fn signed(key: &str) -> Value {
    let mut task = testkit::task("echo", json!({"n": 1}));
    task["deadline"] = json!(4_000_000_000.360_000_4_f64);
    if let Some(members) = task.as_object_mut() {
        members.retain(|key, _| {
            ["job_id", "task_id", "type", "params", "deadline", "priority"].contains(&key.as_str())
        });
    }
    let signature = Signer::new(key).sign(task.to_string().as_bytes(), &[]).expect("signable");
    task["sig"] = json!(signature);
    task
}

fn id(task: &Value) -> &str {
    task["task_id"].as_str().expect("a text")
}

#[tokio::test]
async fn a_signed_task_runs_whatever_is_added_after_signing() {
    let (orchestrator, _worker) = both(&[KEY]).await;
    let mut task = signed("orch-key");
    task["metadata"] = json!({"late": 1});
    task["skill_version"] = json!("1");
    task["skill_type"] = json!("x");
    orchestrator.push_task(&task);
    assert_eq!(orchestrator.wait_for_result(id(&task)).await["status"], "success");
}

#[tokio::test]
async fn a_task_that_is_not_signed_right_is_answered_and_not_run() {
    let (orchestrator, _worker) = both(&[KEY]).await;
    let mut tasks = vec![signed("other-key")];
    for (field, value) in [
        ("params", json!({"n": 2})),
        ("type", json!("fail")),
        ("deadline", json!(4_000_000_001.5)),
        ("sig", json!(null)),
        ("sig", json!(7)),
    ] {
        let mut task = signed("orch-key");
        task[field] = value;
        tasks.push(task);
    }
    let mut upper = signed("orch-key");
    upper["sig"] = json!(upper["sig"].as_str().expect("a text").to_uppercase());
    tasks.push(upper);
    for task in tasks {
        orchestrator.push_task(&task);
        let result = orchestrator.wait_for_result(id(&task)).await;
        assert_eq!(result["error"]["code"], "SECURITY_ERROR", "{task}");
        let message = result["error"]["message"].as_str().expect("a text");
        assert!(message.contains("ORCHESTRATOR_SECRET_KEY") && !message.contains("orch-key"), "{message}");
    }
    assert!(orchestrator.count(Endpoint::Result) >= 7);
}

#[tokio::test]
async fn without_the_requirement_a_missing_signature_is_let_pass_and_a_wrong_one_is_not() {
    let (orchestrator, _worker) = both(&[KEY, ("REQUIRE_TASK_SIGNATURE", "false")]).await;
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
    let task = signed("other-key");
    orchestrator.push_task(&task);
    assert_eq!(orchestrator.wait_for_result(id(&task)).await["error"]["code"], "SECURITY_ERROR");
}

#[tokio::test]
async fn a_job_permits_what_its_policy_lists() {
    let (orchestrator, _worker) = both(&[]).await;
    for (policy, permitted) in [
        (json!(null), true),
        (json!({}), true),
        (json!({"allowed_skills": null}), true),
        (json!({"allowed_skills": ["x", "echo"]}), true),
        (json!({"allowed_skills": ["x"]}), false),
        (json!({"allowed_skills": []}), false),
        (json!({"allowed_skills": "echo"}), false),
        (json!({"allowed_skills": ["echo", 5]}), false),
        (json!(["echo"]), false),
    ] {
        let mut task = testkit::task("echo", json!({}));
        task["policy"] = policy.clone();
        orchestrator.push_task(&task);
        let result = orchestrator.wait_for_result(id(&task)).await;
        let code = if permitted { Value::Null } else { json!("SECURITY_ERROR") };
        assert_eq!(result["error"]["code"], code, "{policy}");
    }
}

/// A copy is no new task: whoever replays one gets the old result, at most.
#[tokio::test]
async fn a_replayed_task_is_not_run_again() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[KEY]).await;
    let task = signed("orch-key");
    orchestrator.push_task(&task);
    let first = orchestrator.wait_for_result(id(&task)).await;
    assert_eq!(first["status"], "success");
    until(|| logs.count("task ended") == 1).await;
    orchestrator.push_task(&task);
    until(|| logs.count("delivered again") == 1).await;
    watch_for(std::time::Duration::from_millis(200)).await;
    assert_eq!(logs.count("task started"), 1, "{logs:?}");
}

#[tokio::test]
async fn a_task_replayed_while_it_runs_is_dropped() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (orchestrator, _worker) = both(&[KEY, ("MAX_CONCURRENT_TASKS", "4")]).await;
    let mut task = testkit::task("sleep", json!({"seconds": 1.0}));
    task.as_object_mut().expect("an object").remove("sig");
    task["sig"] = json!(Signer::new("orch-key").sign(task.to_string().as_bytes(), &[]).expect("signable"));
    orchestrator.push_task(&task);
    until(|| logs.count("task started") == 1).await;
    orchestrator.push_task(&task);
    until(|| logs.count("delivered again while it runs: dropped") == 1).await;
    assert_eq!(orchestrator.wait_for_result(id(&task)).await["status"], "success");
    assert_eq!((logs.count("task started"), orchestrator.count(Endpoint::Result)), (1, 1), "{logs:?}");
}

/// What was signed for another task cannot be answered in its name: the true result stays the result.
#[tokio::test]
async fn a_tampered_copy_does_not_replace_a_result_that_is_on_its_way() {
    let (orchestrator, _worker) = both(&[KEY]).await;
    orchestrator.answer_next(Endpoint::Result, Answer::status(503));
    let task = signed("orch-key");
    orchestrator.push_task(&task);
    orchestrator.wait_for_requests(Endpoint::Result, 1).await;
    let mut tampered = task.clone();
    tampered["params"] = json!({"n": "evil"});
    orchestrator.push_task(&tampered);
    let results = orchestrator.wait_for_requests(Endpoint::Result, 2).await;
    for result in results {
        assert_eq!(result.json()["status"], "success");
        assert_eq!(result.json()["data"], json!({"n": 1}));
    }
}
