//! The switches in the API.

use avtomatika_dev::{Event, Fault, FaultSwitch};
use serde_json::{Value, json};

use super::{hits, started, state, switch, switch_off, switch_on};
use crate::client::{Worker, eventually, get, in_time, post, put};

#[tokio::test]
async fn every_fault_is_listed_with_its_state() {
    let (orchestrator, _) = started().await;
    let faults = get(&orchestrator, "/api/faults").await.json()["faults"].clone();
    assert_eq!(faults.as_object().expect("an object").len(), 14);
    for fault in Fault::ALL {
        let expected = json!({
            "on": false, "rate": 1.0, "for": null, "left": null, "worker": null, "since": null, "hits": 0,
            "about": fault.about(), "good_worker": fault.good_worker(), "verdict": null,
        });
        assert_eq!(faults[fault.as_str()], expected, "{fault}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_switch_is_answered_with_all_states() {
    let (orchestrator, _) = started().await;
    let switches = json!({
        "slow": {"on": true, "rate": 0.5, "for": 100, "worker": "w", "delay": 0.25},
        "cut": {"on": true, "rate": null, "for": null, "worker": null, "delay": null},
    });
    let faults = switch(&orchestrator, switches).await;
    let (slow, cut) = (&faults["slow"], &faults["cut"]);
    assert_eq!((&slow["on"], &slow["rate"], &slow["for"]), (&json!(true), &json!(0.5), &json!(100.0)));
    assert_eq!((&slow["worker"], &slow["delay"]), (&json!("w"), &json!(0.25)));
    let left = slow["left"].as_f64().expect("a number");
    assert!((0.0..=100.0).contains(&left), "{left}");
    assert!(slow["since"].as_f64().expect("a number") > 1.7e9);
    assert_eq!((&cut["on"], &cut["rate"], &cut["for"]), (&json!(true), &json!(1.0), &Value::Null));
    assert_eq!(faults["refuse"]["on"], false);

    let faults = switch(&orchestrator, json!({"slow": {"on": false}})).await;
    assert_eq!((&faults["slow"]["on"], &faults["slow"]["since"]), (&json!(false), &Value::Null));
    assert_eq!(faults["cut"]["on"], true, "what is not named stays");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn one_invalid_switch_changes_nothing() {
    let (orchestrator, _) = started().await;
    for (switches, expected) in [
        (
            json!({"cut": {"on": true}, "fire": {"on": true}}),
            "`fire` is not a fault, expected one of `refuse`",
        ),
        (json!({"cut": {"on": true}, "slow": {"on": true, "rate": 2}}), "`rate` is `2`"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "rate": -0.5}}), "`rate` is `-0.5`"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "for": 0}}), "`for` is `0`"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "for": -1}}), "`for` is `-1`"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "for": 1e300}}), "`for` is"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "delay": 0.05}}), "`delay` is `0.05`"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "worker": "a b"}}), "`worker`: `a b`"),
        (json!({"cut": {"on": true}, "slow": {"on": true, "speed": 1}}), "unknown field `speed`"),
        (json!({"cut": {"on": true}, "slow": {"rate": 1}}), "missing field `on`"),
        (json!({"cut": {"on": true}, "slow": {"on": "yes"}}), "`slow.on`"),
        (json!({"cut": {"on": true}, "slow": true}), "`slow`"),
        (json!([]), "the body is not a set of switches"),
    ] {
        let text = put(&orchestrator, "/api/faults", &switches).await.error(400);
        assert!(text.contains(expected), "{switches}: {text}");
        assert!(orchestrator.faults().iter().all(|state| !state.on), "{switches}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_fault_ends_when_its_time_is_over() {
    let (orchestrator, worker) = started().await;
    let mut feed = orchestrator.subscribe();
    switch(&orchestrator, json!({"error_5xx": {"on": true, "for": 0.1}})).await;
    eventually(|| !state(&orchestrator, Fault::Error5xx).on).await;
    assert_eq!(worker.beat(&json!({"status": "idle"})).await["status"], "ok");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Event::FaultChanged { name, state, .. } = in_time(feed.next()).await.expect("an event") {
            seen.push((name, state.on));
        }
    }
    assert_eq!(seen, [(Fault::Error5xx, true), (Fault::Error5xx, false)]);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn people_are_never_hit() {
    let (orchestrator, worker) = started().await;
    for fault in Fault::ALL {
        switch_on(&orchestrator, fault);
    }
    assert_eq!(get(&orchestrator, "/api/workers").await.status, 200);
    assert_eq!(post(&orchestrator, "/api/tasks", r#"{"type":"x"}"#).await.status, 202);
    assert_eq!(get(&orchestrator, "/api/faults").await.json()["faults"]["refuse"]["hits"], 0);
    assert!(worker.bytewise("PATCH", "workers/w", "").await.is_reset());
    for fault in Fault::ALL {
        switch_off(&orchestrator, fault);
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_fault_for_one_worker_hits_no_other() {
    let (orchestrator, worker) = started().await;
    let other = Worker::registered(&orchestrator, "v", &["x"]).await;
    orchestrator.set_fault(Fault::Refuse, FaultSwitch::on().with_worker("w")).expect("valid");
    assert_eq!(other.beat(&json!({"status": "idle"})).await["status"], "ok");
    assert!(worker.bytewise("PATCH", "workers/w", "").await.is_reset());
    // The body names the worker, if nothing else does.
    let anonymous = format!(
        "POST /_worker/workers/register HTTP/1.1\r\nhost: {}\r\nx-worker-token: t\r\ncontent-length: 17\r\n\r\n{}",
        worker.address, r#"{"worker_id":"w"}"#
    );
    assert!(crate::client::bytewise(worker.address, &anonymous).await.is_reset());
    hits(&orchestrator, Fault::Refuse, 2).await;
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_rate_hits_a_share_of_the_requests() {
    let (orchestrator, worker) = started().await;
    for (rate, expected) in [(0.0, 0..=0), (0.5, 20..=180), (1.0, 200..=200)] {
        orchestrator.set_fault(Fault::Error5xx, FaultSwitch::on().with_rate(rate)).expect("valid");
        let mut failed = 0;
        for _ in 0..200 {
            let answer = worker.send(hyper::Method::PATCH, "workers/w", "").await;
            failed += u64::from(answer.status.is_server_error());
        }
        assert!(expected.contains(&failed), "{rate}: {failed}");
        assert_eq!(state(&orchestrator, Fault::Error5xx).hits, failed);
        switch_off(&orchestrator, Fault::Error5xx);
    }
    orchestrator.shutdown().await;
}
