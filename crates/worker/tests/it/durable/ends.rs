//! How a worker ends whose results are on disk, and who gets them afterwards.

use serde_json::json;
use testkit::{Answer, Endpoint, PATIENCE, ScriptedOrchestrator};

use super::{Outbox, kill, tries, wait_for_try};
use crate::support::{TOKEN, program, push};

#[tokio::test]
async fn past_the_limit_it_ends_with_0_and_lists_what_is_on_disk() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[("WORKER_SHUTDOWN_TIMEOUT", "1")]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(500));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_result(&id).await;
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0), "{:?}", process.lines());
    let line = process.lines().into_iter().find(|line| line.contains("not acknowledged")).expect("a line");
    assert!(line.contains("WARN") && line.contains(&id) && line.contains("on disk"), "{line}");
    orchestrator.answer_normally(Endpoint::Result);
    let before = tries(&orchestrator, &id).len();
    let _process = outbox.start(&orchestrator, &[]).await;
    assert_eq!(wait_for_try(&orchestrator, &id, before).await["status"], "success");
}

#[tokio::test]
async fn one_that_is_told_to_end_at_once_loses_nothing_of_before() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_result(&id).await;
    kill(&mut process).await;
    // It ends before its orchestrator is there.
    orchestrator.refuse().await;
    let own = [("WORKER_OUTBOX_DIR", outbox.path()), ("WORKER_SHUTDOWN_TIMEOUT", "1")];
    let mut process = program(&orchestrator.url(), &own).start();
    process.wait_for_line("results of an earlier run are offered again").await;
    // Before that a signal would simply kill it.
    process.wait_for_line("health server listens").await;
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0), "{:?}", process.lines());
    assert!(process.printed(&id) && process.printed("they are on disk"), "{:?}", process.lines());
    orchestrator.accept().await;
    orchestrator.answer_normally(Endpoint::Result);
    let before = tries(&orchestrator, &id).len();
    let _process = outbox.start(&orchestrator, &[]).await;
    wait_for_try(&orchestrator, &id, before).await;
}

fn two(one: &ScriptedOrchestrator, other: &ScriptedOrchestrator) -> String {
    json!([{"url": one.url(), "priority": 1}, {"url": other.url(), "priority": 2}]).to_string()
}

#[tokio::test]
async fn each_orchestrator_gets_its_own_and_one_that_is_gone_gets_its_when_it_is_back() {
    let (one, other, outbox) =
        (ScriptedOrchestrator::start().await, ScriptedOrchestrator::start().await, Outbox::new());
    let both = two(&one, &other);
    let both = [("ORCHESTRATORS_CONFIG", both.as_str()), ("MULTI_ORCHESTRATOR_MODE", "ROUND_ROBIN")];
    let mut process = outbox.start(&one, &both).await;
    let mut ids = Vec::new();
    for orchestrator in [&one, &other] {
        orchestrator.answer_always(Endpoint::Result, Answer::status(503));
        let id = push(orchestrator, "echo", json!({}));
        orchestrator.wait_for_result(&id).await;
        ids.push(id);
    }
    kill(&mut process).await;
    for orchestrator in [&one, &other] {
        orchestrator.answer_normally(Endpoint::Result);
    }
    let before = [&one, &other].map(|orchestrator| orchestrator.count(Endpoint::Result));
    let mut process = outbox.start(&one, &[]).await;
    wait_for_try(&one, &ids[0], before[0]).await;
    let line = process.wait_for_line("an orchestrator that is not configured").await;
    assert!(line.contains("WARN") && line.contains(&other.url()), "{line}");
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(other.count(Endpoint::Result), before[1]);
    let _process = outbox.start(&one, &both).await;
    wait_for_try(&other, &ids[1], before[1]).await;
    assert_eq!(one.count(Endpoint::Result), before[0] + 1, "nobody gets another's");
}

#[tokio::test]
async fn one_that_only_stands_by_gets_its_results_all_the_same() {
    let (one, other, outbox) =
        (ScriptedOrchestrator::start().await, ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&other, &[]).await;
    other.answer_always(Endpoint::Result, Answer::status(503));
    let id = push(&other, "echo", json!({}));
    other.wait_for_result(&id).await;
    kill(&mut process).await;
    other.answer_normally(Endpoint::Result);
    let (before, registered) = (tries(&other, &id).len(), other.count(Endpoint::Register));
    let both = two(&one, &other);
    let _process = outbox.start(&one, &[("ORCHESTRATORS_CONFIG", &both)]).await;
    crate::support::until(|| tries(&other, &id).len() > before).await;
    assert_eq!(other.count(Endpoint::Register), registered);
    // It is told all that the newer generation wants to know.
    let signer = rxon::signing::Signer::new(TOKEN);
    let sent = &tries(&other, &id)[before];
    let signature = sent.json()["security"]["signature"].as_str().expect("signed").to_owned();
    assert!(signer.verify(&sent.body, &[], &signature));
}

#[tokio::test]
async fn a_second_process_of_the_same_id_does_not_start() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let first = outbox.start(&orchestrator, &[]).await;
    let mut second = program(&orchestrator.url(), &[("WORKER_OUTBOX_DIR", outbox.path())]).start();
    assert_eq!(second.wait(PATIENCE).await.code(), Some(1));
    let text = second.lines().join("\n");
    let id = first.id().expect("it runs").to_string();
    for said in ["WORKER_OUTBOX_DIR", "another live process", "`w-1`", &id] {
        assert!(text.contains(said), "{said} in {text}");
    }
    assert_eq!(orchestrator.count(Endpoint::Register), 1);
    // Another id is another worker.
    let other = [("WORKER_OUTBOX_DIR", outbox.path()), ("WORKER_ID", "w-2")];
    let _third = program(&orchestrator.url(), &other).start();
    orchestrator.wait_for_requests(Endpoint::Register, 2).await;
}

#[tokio::test]
async fn without_an_id_of_its_own_it_is_warned() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[("WORKER_ID", "")]).await;
    let line = process.wait_for_line("`WORKER_ID` is not").await;
    assert!(line.contains("WARN"), "{line}");
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(outbox.files(), Vec::<String>::new(), "nothing piles up");
}
