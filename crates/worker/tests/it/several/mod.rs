//! One worker, several orchestrators.

mod adversity;
mod cluster;
mod failover;
mod stress;
mod together;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Endpoint, ScriptedOrchestrator};

use crate::support::{Running, TOKEN, config, tasks, until};

/// As many orchestrators as there are names for.
async fn orchestrators<const N: usize>() -> [ScriptedOrchestrator; N] {
    let all = futures_util::future::join_all((0..N).map(|_| ScriptedOrchestrator::start())).await;
    let mut all = all.into_iter();
    std::array::from_fn(|_| all.next().expect("as many as were started"))
}

/// Starts a worker for these orchestrators, with what else is said of each.
fn start(mode: &str, entries: &[(&ScriptedOrchestrator, Value)], variables: &[(&str, &str)]) -> Running {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(orchestrator, more)| {
            let mut entry = more.clone();
            entry["url"] = json!(orchestrator.url());
            entry
        })
        .collect();
    let entries = Value::from(entries).to_string();
    let own = [("ORCHESTRATORS_CONFIG", entries.as_str()), ("MULTI_ORCHESTRATOR_MODE", mode)];
    let all: Vec<_> = own.iter().chain(variables).copied().collect();
    Running::start(tasks().config(config("http://127.0.0.1:1", &all)).build().expect("a worker"))
}

/// Every request it got, of whatever kind.
fn heard_of(orchestrator: &ScriptedOrchestrator) -> usize {
    [Endpoint::Register, Endpoint::Heartbeat, Endpoint::Poll, Endpoint::Result]
        .into_iter()
        .map(|endpoint| orchestrator.count(endpoint))
        .sum()
}

/// Waits until it is left alone: for five heartbeats' time nothing comes.
async fn falls_silent(orchestrator: &ScriptedOrchestrator) {
    let last = std::cell::Cell::new((heard_of(orchestrator), Instant::now()));
    until(|| {
        let heard = heard_of(orchestrator);
        if heard != last.get().0 {
            last.set((heard, Instant::now()));
        }
        last.get().1.elapsed() > Duration::from_secs(1)
    })
    .await;
}

/// Whether everything signed that it got carries this token, and is signed with it.
fn assert_all_signed_with(orchestrator: &ScriptedOrchestrator, token: &str) {
    let signer = rxon::signing::Signer::new(token);
    for endpoint in [Endpoint::Register, Endpoint::Heartbeat, Endpoint::Result, Endpoint::Poll] {
        for request in orchestrator.requests(endpoint) {
            assert_eq!(request.header("x-worker-token"), Some(token));
            if request.body.is_empty() {
                continue;
            }
            let signature = request.json()["security"]["signature"].as_str().expect("signed").to_owned();
            assert!(signer.verify(&request.body, &[], &signature), "{request:?}");
        }
    }
}

#[tokio::test]
async fn each_orchestrator_gets_its_own_token_also_for_signing() {
    let [one, other] = orchestrators().await;
    let _worker = start(
        "ROUND_ROBIN",
        &[(&one, json!({"token": "token-of-one"})), (&other, json!({"token": null}))],
        &[],
    );
    for orchestrator in [&one, &other] {
        assert_eq!(crate::support::run(orchestrator, "echo", json!({})).await["status"], "success");
        crate::support::wait_for_heartbeat(orchestrator, |_| true).await;
    }
    assert_all_signed_with(&one, "token-of-one");
    assert_all_signed_with(&other, TOKEN);
}
