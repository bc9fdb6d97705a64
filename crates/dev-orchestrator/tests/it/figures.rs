//! Workers, skills and figures.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Event, Settings};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Worker, get, in_time, request, send, submit};

async fn start(settings: Settings) -> DevOrchestrator {
    DevOrchestrator::start(settings.without_storage()).await.expect("a free port")
}

#[tokio::test]
async fn a_worker_is_shown_with_what_it_says_of_itself() {
    let orchestrator = start(Settings::new()).await;
    let worker = Worker::new(&orchestrator, "w");
    let registration = json!({
        "worker_id": "w", "worker_type": "gpu", "supported_tasks": ["x"],
        "resources": {"max_concurrent_tasks": 4, "cpu_cores": 8, "gpu_info": {"model": "RTX", "vram_gb": 24.0}},
        "installed_software": {"python": "3.12"},
        "capabilities": {"hostname": "box", "ip_address": "10.0.0.7"},
    });
    let headers = [("x-worker-token", "t"), ("x-rxon-version", "1.0b17")];
    let path = "/_worker/workers/register";
    let message = request(worker.address, Method::POST, path, &headers, registration.to_string());
    assert_eq!(send(worker.address, message).await.status, 200);
    let job = submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.task().await;
    worker.beat(&json!({"status": "busy", "hot_cache": ["sd"], "hot_skills": ["x"]})).await;
    let view = get(&orchestrator, "/api/workers/w").await.json();
    for (member, expected) in [
        ("worker_id", json!("w")),
        ("worker_type", json!("gpu")),
        ("status", json!("busy")),
        ("tasks", json!(["x"])),
        ("accepts", json!([])),
        ("running", json!([job])),
        ("open_polls", json!(0)),
        ("slots", json!({"used": 1, "total": 4})),
        ("hot", json!(["sd"])),
        ("software", json!({"python": "3.12"})),
        (
            "machine",
            json!({"hostname": "box", "ip_address": "10.0.0.7", "cpu_cores": 8,
            "gpu": {"model": "RTX", "vram_gb": 24.0}}),
        ),
        ("websocket", json!(false)),
        ("protocol", json!("1.0b17")),
    ] {
        assert_eq!(view[member], expected, "{member}");
    }
    assert!(view["registered_at"].as_f64() <= view["last_heartbeat_at"].as_f64(), "{view}");
    assert!(view["last_heard"].is_f64());
    let list = get(&orchestrator, "/api/workers").await.json();
    assert_eq!(list["workers"][0]["slots"], view["slots"], "the same in the list");

    // Whatever else stands there does not keep a worker out.
    let rubbish = json!({
        "worker_id": "strange", "supported_tasks": ["x"], "resources": [1], "installed_software": "python",
        "capabilities": 5, "hot_cache": {"a": 1}, "hot_skills": "x",
        "supported_skills": [{"name": "z", "description": 5, "input_schema": "none", "type": []}],
    });
    assert_eq!(worker.post("workers/register", &rubbish).await.status, 403, "another id in the header");
    let strange = Worker::new(&orchestrator, "strange");
    assert_eq!(strange.post("workers/register", &rubbish).await.status, 200);
    let view = get(&orchestrator, "/api/workers/strange").await.json();
    assert_eq!(
        (&view["slots"]["total"], &view["software"], &view["protocol"]),
        (&Value::Null, &json!({}), &Value::Null)
    );
    for stranger in ["nobody", "a%20b", "..%2Fx"] {
        let text = get(&orchestrator, &format!("/api/workers/{stranger}")).await.error(404);
        assert!(text.contains("no worker has the id"), "{text}");
    }
    get(&orchestrator, "/api/workers/%ff").await.error(400);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_was_given_up_is_gone() {
    let orchestrator = start(Settings::new().with_worker_ttl(Duration::from_millis(50))).await;
    let mut feed = orchestrator.subscribe();
    Worker::registered(&orchestrator, "w", &["x"]).await;
    while !matches!(in_time(feed.next()).await, Some(Event::WorkerExpired { .. })) {}
    let view = get(&orchestrator, "/api/workers/w").await.json();
    assert_eq!((&view["status"], &view["tasks"]), (&json!("gone"), &json!(["x"])));
    assert_eq!(get(&orchestrator, "/api/workers").await.json(), json!({"workers": []}));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn heartbeats_are_published() {
    let orchestrator = start(Settings::new()).await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let mut feed = orchestrator.subscribe();
    worker.beat(&json!({"status": "idle"})).await;
    let event = in_time(feed.next()).await.expect("it goes on");
    assert_eq!(
        serde_json::to_value(event).expect("JSON"),
        json!({"event": "worker_changed", "worker_id": "w"})
    );
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn skills_are_listed_with_their_schemas_unchanged() {
    let orchestrator = start(Settings::new()).await;
    assert_eq!(get(&orchestrator, "/api/skills").await.json(), json!({"skills": []}));
    let worker = Worker::new(&orchestrator, "w");
    let schema = r#"{ "type":"object", "maximum":18446744073709551616 }"#;
    let registration = format!(
        r#"{{"worker_id":"w","supported_skills":[{{"name":"x","type":"gpu","description":"makes x","version":"1.2",
            "input_schema":{schema},"events_schema":{{"note":{{}}}}}}],"hot_skills":["x"]}}"#
    );
    assert_eq!(worker.send(Method::POST, "workers/register", registration).await.status, 200);
    let answer = get(&orchestrator, "/api/skills").await;
    assert!(String::from_utf8_lossy(&answer.body).contains(schema), "{answer:?}");
    let mut skill = answer.json()["skills"][0].clone();
    skill["input_schema"] = Value::Null;
    let expected = json!({
        "name": "x", "description": "makes x", "type": "gpu", "version": "1.2", "input_schema": null,
        "output_schema": null, "events_schema": {"note": {}}, "workers": ["w"], "hot": ["w"],
    });
    assert_eq!(skill, expected);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn figures_have_an_entry_for_each_second() {
    let orchestrator = start(Settings::new()).await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    submit(&orchestrator, r#"{"type":"x"}"#).await;
    worker.run(json!({})).await;
    let seconds = in_time(async {
        loop {
            let figures = get(&orchestrator, "/api/stats").await.json();
            let seconds = figures["seconds"].as_array().expect("a list").clone();
            if seconds.iter().any(|second| second["finished"] == 1) && seconds.len() >= 2 {
                return seconds;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let at = |second: &Value| second["at"].as_u64().expect("a whole number");
    assert!(seconds.windows(2).all(|pair| at(&pair[0]) + 1 == at(&pair[1])), "{seconds:?}");
    let done = seconds.iter().find(|second| second["finished"] == 1).expect("one");
    assert!(
        done["p50"].as_f64().is_some_and(|latency| latency > 0.0) && done["p50"] == done["p95"],
        "{done}"
    );
    assert_eq!(seconds.iter().filter_map(|second| second["submitted"].as_u64()).sum::<u64>(), 1);
    let last = at(seconds.last().expect("two"));
    let figures = get(&orchestrator, &format!("/api/stats?since={last}")).await.json();
    assert_eq!(figures["seconds"][0]["at"], last);
    assert!(figures["now"].as_f64().expect("a number") >= last as f64 + 1.0);
    let future = get(&orchestrator, "/api/stats?since=99999999999").await.json();
    assert_eq!(future["seconds"], json!([]));
    for (query, expected) in [
        ("?since=yesterday", "`since` is `yesterday`, expected a time in seconds since 1970"),
        ("?since=NaN", "`since` is `NaN`"),
        ("?until=5", "until"),
    ] {
        let text = get(&orchestrator, &format!("/api/stats{query}")).await.error(400);
        assert!(text.contains(expected), "{query}: {text}");
    }
    orchestrator.shutdown().await;
}
