//! Several addresses declared as one cluster.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::capture::Logs;
use testkit::{Answer, Endpoint, Recorded, Script, ScriptedOrchestrator};

use super::{assert_all_signed_with, orchestrators, start};
use crate::support::{TOKEN, each, push, run, told, until, wait_for_heartbeat};

const MODES: [&str; 3] = ["FAILOVER", "ROUND_ROBIN", "WATERFALL"];

/// Two instances that share what they know: no scripted one forgets a worker that registered with the other.
async fn instances() -> [ScriptedOrchestrator; 2] {
    let all = orchestrators().await;
    for instance in &all {
        let known = |request: &Recorded| {
            request.body.is_empty().then(|| Answer::ok(json!({"status": "ttl_refreshed"})))
        };
        instance.on(Endpoint::Heartbeat, move |request| {
            known(request).or_else(|| Some(Answer::ok(json!({"status": "ok"}))))
        });
    }
    all
}

fn member() -> Value {
    json!({"cluster": "prod"})
}

fn statuses(instances: &[ScriptedOrchestrator]) -> Vec<Value> {
    instances.iter().flat_map(told).map(|beat| beat.json()["status"].clone()).collect()
}

#[tokio::test]
async fn one_registration_and_one_heartbeat_serve_all_addresses() {
    for mode in MODES {
        let [first, second] = instances().await;
        let worker = start(mode, &[(&first, member()), (&second, member())], &[]);
        first.wait_for_requests(Endpoint::Heartbeat, 5).await;
        assert_eq!(run(&first, "echo", json!({"n": 1})).await["data"], json!({"n": 1}), "{mode}");
        assert_eq!(first.count(Endpoint::Register), 1, "{mode}");
        let heard = second.count(Endpoint::Register) + second.count(Endpoint::Heartbeat);
        assert_eq!(heard, 0, "{mode}: only one is told");
        worker.stop().await;
    }
}

/// An instance that dies takes no result with it, and one that comes back is not said goodbye to.
#[tokio::test]
async fn the_results_of_an_instance_that_is_gone_go_to_another_and_nothing_says_busy_when_it_is_back() {
    for mode in MODES {
        let logs = Logs::new();
        let _guard = logs.start();
        let [first, second] = instances().await;
        let variables = [("WORKER_MAX_POLLERS", "1")];
        let worker = start(mode, &[(&first, member()), (&second, member())], &variables);
        first.wait_for_open_polls(1).await;
        let task = push(&first, "sleep", json!({"seconds": 0.5}));
        wait_for_heartbeat(&first, |beat| beat["load"] == json!(1.0)).await;
        first.refuse().await;
        first.drop_connections();
        assert_eq!(second.wait_for_result(&task).await["status"], "success", "{mode}");
        logs.wait_for("an address of the cluster does not answer, the others are used").await;
        wait_for_heartbeat(&second, |beat| beat["load"] == json!(0.0)).await;
        assert_eq!(run(&second, "echo", json!({})).await["status"], "success", "{mode}");
        let polled = push(&second, "sleep", json!({"seconds": 1.0}));
        wait_for_heartbeat(&second, |beat| beat["load"] == json!(1.0)).await;
        first.accept().await;
        assert_eq!(logs.count("this orchestrator is the active one now"), 0, "{mode}");
        let result = async {
            tokio::select! {
                result = second.wait_for_result(&polled) => result,
                result = first.wait_for_result(&polled) => result,
            }
        };
        assert_eq!(result.await["status"], "success", "{mode}");
        assert_eq!(second.count(Endpoint::Register), 0, "{mode}");
        let all = [first, second];
        assert!(statuses(&all).iter().all(|status| status == "idle"), "{mode}: {:?}", statuses(&all));
        worker.stop().await;
    }
}

#[tokio::test]
async fn with_round_robin_all_addresses_are_polled_and_with_failover_the_first() {
    let [first, second] = instances().await;
    let _worker = start("ROUND_ROBIN", &[(&first, member()), (&second, member())], &[]);
    for index in 0..4 {
        let at = if index % 2 == 0 { &first } else { &second };
        until(|| first.open_polls() + second.open_polls() > 0).await;
        let id = push(at, "echo", json!({}));
        // The other one's poll is held: a task there lets the turn pass.
        let other = if index % 2 == 0 { &second } else { &first };
        push(other, "echo", json!({}));
        until(|| [&first, &second].iter().any(|one| has_result(one, &id))).await;
    }
    assert!(first.count(Endpoint::Poll) > 1 && second.count(Endpoint::Poll) > 1);

    let [first, second] = instances().await;
    let _worker = start("FAILOVER", &[(&first, member()), (&second, member())], &[]);
    for _ in 0..4 {
        run(&first, "echo", json!({})).await;
    }
    assert_eq!(second.count(Endpoint::Poll), 0);
}

fn has_result(orchestrator: &ScriptedOrchestrator, task: &str) -> bool {
    orchestrator.requests(Endpoint::Result).iter().any(|request| request.json()["task_id"] == task)
}

#[tokio::test]
async fn each_address_has_a_websocket_and_any_of_them_cancels_a_task() {
    let [first, second] = instances().await;
    let variables = [("WORKER_ENABLE_WEBSOCKETS", "true")];
    let _worker = start("FAILOVER", &[(&first, member()), (&second, member())], &variables);
    first.wait_for_open_websockets(1).await;
    second.wait_for_open_websockets(1).await;
    let task = push(&first, "sleep", json!({"seconds": 60.0}));
    wait_for_heartbeat(&first, |beat| beat["load"] == json!(1.0)).await;
    second.send_command(&json!({"command": "cancel_task", "task_id": task, "job_id": "j"}));
    assert_eq!(first.wait_for_result(&task).await["status"], "cancelled");
}

/// A cluster and a single orchestrator side by side; each address has its own token.
#[tokio::test]
async fn each_address_has_its_own_token_and_a_cluster_is_one_orchestrator_among_others() {
    let [first, second] = instances().await;
    let [other] = orchestrators().await;
    let entries = [
        (&first, json!({"cluster": "prod", "token": "token-of-one"})),
        (&other, json!({})),
        (&second, json!({"cluster": "prod", "token": "token-of-two"})),
    ];
    let _worker = start("ROUND_ROBIN", &entries, &[]);
    first.wait_for_requests(Endpoint::Heartbeat, 2).await;
    first.refuse().await;
    first.drop_connections();
    second.wait_for_requests(Endpoint::Heartbeat, 2).await;
    assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
    assert_eq!(run(&other, "echo", json!({})).await["status"], "success");
    assert_all_signed_with(&first, "token-of-one");
    assert_all_signed_with(&second, "token-of-two");
    assert_all_signed_with(&other, TOKEN);
}

/// Only when no address answers is the cluster down, and the next orchestrator takes over.
#[tokio::test]
async fn a_cluster_is_down_when_all_its_addresses_are() {
    let [first, second] = instances().await;
    let [standby] = orchestrators().await;
    let variables = [("WORKER_MAX_POLLERS", "1")];
    let entries = [(&first, member()), (&second, member()), (&standby, json!({}))];
    let _worker = start("FAILOVER", &entries, &variables);
    first.wait_for_open_polls(1).await;
    first.refuse().await;
    first.drop_connections();
    second.wait_for_open_polls(1).await;
    assert_eq!(run(&second, "echo", json!({})).await["status"], "success");
    assert_eq!(standby.count(Endpoint::Register), 0);
    second.refuse().await;
    second.drop_connections();
    assert_eq!(run(&standby, "echo", json!({})).await["status"], "success");
}

/// What one address is told, all know: the goodbye does not wait for the first one until its time is over.
#[tokio::test]
async fn the_goodbye_reaches_another_address_when_the_first_hangs_and_polls_are_awaited_when_all_do() {
    let hold = Duration::from_secs(60);
    each([false, true], async |all_hang| {
        let first = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
        let second = ScriptedOrchestrator::start_with(Script::newer().hold(hold)).await;
        let variables = [("HEARTBEAT_INTERVAL", "60"), ("TASK_POLL_TIMEOUT", "60")];
        let worker = start("FAILOVER", &[(&first, member()), (&second, member())], &variables);
        first.wait_for_open_polls(1).await;
        first.wait_for_requests(Endpoint::Heartbeat, 1).await;
        first.answer_always(Endpoint::Heartbeat, Answer::Hang);
        let answer = if all_hang { Answer::Hang } else { Answer::ok(json!({"status": "ok"})) };
        second.answer_always(Endpoint::Heartbeat, answer);
        worker.ask_to_stop();
        wait_for_heartbeat(&second, |beat| beat["status"] == "busy").await;
        if all_hang {
            // By then nothing more is said.
            tokio::time::sleep(Duration::from_secs(4)).await;
            push(&first, "echo", json!({"late": true}));
            first.wait_for_requests(Endpoint::Result, 1).await;
        }
        assert!(worker.stopped().await.is_clean());
    })
    .await;
}
