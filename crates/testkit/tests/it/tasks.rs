//! Tasks and the polls that wait for them.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Endpoint, Script, ScriptedOrchestrator, task};

use crate::client::Client;

/// Long enough never to end within a test.
const LONG: Duration = Duration::from_secs(60);

async fn holding() -> ScriptedOrchestrator {
    ScriptedOrchestrator::start_with(Script::newer().hold(LONG)).await
}

#[tokio::test]
async fn a_pushed_task_is_what_the_next_poll_gets() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    let first = task("echo", json!({ "text": "hi" }));
    orchestrator.push_task(&first);
    orchestrator.push_task_body("not json");
    assert_eq!(orchestrator.waiting_tasks(), 2);
    assert_eq!(client.poll("w1").await.unwrap().json(), first);
    assert_eq!(client.poll("w1").await.unwrap().body, b"not json");
}

#[tokio::test]
async fn an_empty_poll_is_held_and_then_answered_with_204() {
    let hold = Duration::from_millis(50);
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
    let mut client = Client::of(&orchestrator).await;
    let start = Instant::now();
    assert_eq!(client.poll("w1").await.unwrap().status, 204);
    assert!(start.elapsed() >= hold);
    orchestrator.push_task(task("echo", json!({})));
    assert_eq!(client.poll("w1").await.unwrap().status, 200, "the ended poll has taken nothing with it");
}

#[tokio::test]
async fn the_poll_that_waited_longest_is_served_first() {
    let orchestrator = holding().await;
    let mut first = Client::of(&orchestrator).await;
    let mut second = Client::of(&orchestrator).await;
    first.send_request("GET", "/_worker/workers/w1/tasks/next", "").await.unwrap();
    orchestrator.wait_for_open_polls(1).await;
    second.send_request("GET", "/_worker/workers/w1/tasks/next", "").await.unwrap();
    orchestrator.wait_for_open_polls(2).await;
    orchestrator.push_task_body("1");
    orchestrator.push_task_body("2");
    assert_eq!(first.response().await.unwrap().body, b"1");
    assert_eq!(second.response().await.unwrap().body, b"2");
    orchestrator.wait_for_no_open_poll().await;
}

#[tokio::test]
async fn a_poll_whose_client_left_is_dropped() {
    let orchestrator = holding().await;
    let mut gone = Client::of(&orchestrator).await;
    gone.send_request("GET", "/_worker/workers/w1/tasks/next", "").await.unwrap();
    orchestrator.wait_for_open_polls(1).await;
    drop(gone);
    orchestrator.wait_for_no_open_poll().await;
    orchestrator.push_task_body("1");
    let mut client = Client::of(&orchestrator).await;
    assert_eq!(client.poll("w1").await.unwrap().body, b"1");
}

#[tokio::test]
async fn a_poll_whose_client_left_can_swallow_the_next_task() {
    let orchestrator = holding().await;
    orchestrator.swallow_abandoned_polls(true);
    let mut gone = Client::of(&orchestrator).await;
    gone.send_request("GET", "/_worker/workers/w1/tasks/next", "").await.unwrap();
    orchestrator.wait_for_open_polls(1).await;
    drop(gone);
    orchestrator.wait_for_no_open_poll().await;
    orchestrator.push_task_body("1");
    orchestrator.push_task_body("2");
    let mut client = Client::of(&orchestrator).await;
    assert_eq!(client.poll("w1").await.unwrap().body, b"2");
}

#[tokio::test]
async fn dropping_the_connections_swallows_too_if_so_told() {
    for (swallow, expected) in [(false, b"1"), (true, b"2")] {
        let orchestrator = holding().await;
        orchestrator.swallow_abandoned_polls(swallow);
        let mut client = Client::of(&orchestrator).await;
        client.send_request("GET", "/_worker/workers/w1/tasks/next", "").await.unwrap();
        orchestrator.wait_for_open_polls(1).await;
        orchestrator.drop_connections();
        assert!(client.response().await.is_err());
        orchestrator.wait_for_no_open_poll().await;
        orchestrator.push_task_body("1");
        orchestrator.push_task_body("2");
        let mut client = Client::of(&orchestrator).await;
        assert_eq!(client.poll("w1").await.unwrap().body, expected);
    }
}

#[tokio::test]
async fn tasks_can_be_made_on_demand() {
    let orchestrator = holding().await;
    let mut left = vec!["2", "1"];
    orchestrator.make_tasks(move || left.pop().map(Into::into));
    let mut client = Client::of(&orchestrator).await;
    assert_eq!(client.poll("w1").await.unwrap().body, b"1");
    assert_eq!(client.poll("w1").await.unwrap().body, b"2");
    client.send_request("GET", "/_worker/workers/w1/tasks/next", "").await.unwrap();
    orchestrator.wait_for_open_polls(1).await;
}

#[tokio::test]
async fn a_result_is_found_by_its_task() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let wanted = task("echo", json!({}));
    let id = wanted["task_id"].as_str().unwrap().to_owned();
    let waiting = orchestrator.wait_for_result(&id);
    let sending = async {
        let mut client = Client::of(&orchestrator).await;
        for body in [
            "garbage".to_owned(),
            json!({ "task_id": "x" }).to_string(),
            json!({ "task_id": id, "data": 7 }).to_string(),
        ] {
            client.post("/_worker/tasks/result", &body).await;
        }
    };
    let (result, ()) = tokio::join!(waiting, sending);
    assert_eq!(result["data"], 7);
    let request =
        orchestrator.wait_for(Endpoint::Result, |request| request.body.starts_with(b"garbage")).await;
    assert_eq!(request.endpoint, Endpoint::Result);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited 60s for the result of `task-x`; seen so far:\n  no request at all")]
async fn waiting_in_vain_says_what_was_seen() {
    ScriptedOrchestrator::start().await.wait_for_result("task-x").await;
}

#[tokio::test]
async fn a_watch_sees_tasks_and_results_on_their_way() {
    let orchestrator = holding().await;
    let (sender, seen) = std::sync::mpsc::channel();
    let note = |kind: &'static str, sender: std::sync::mpsc::Sender<(&'static str, Vec<u8>)>| {
        move |bytes: &[u8]| drop(sender.send((kind, bytes.to_vec())))
    };
    orchestrator.watch(note("task", sender.clone()), note("result", sender));
    let mut client = Client::of(&orchestrator).await;
    orchestrator.push_task_body("1");
    client.poll("w1").await.unwrap();
    client.post("/_worker/tasks/result", r#"{"task_id":"1"}"#).await;
    client.heartbeat("w1", "{}").await;
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen, [("task", b"1".to_vec()), ("result", br#"{"task_id":"1"}"#.to_vec())]);
}
