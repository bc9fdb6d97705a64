//! The wire log.

use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, NewTask, Settings};
use futures_util::SinkExt as _;
use hyper::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Worker, eventually, get, in_time, open_polls};
use crate::websockets::{answers_a_ping, connect};

async fn started() -> (DevOrchestrator, Worker) {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

async fn wire(orchestrator: &DevOrchestrator, query: &str) -> Value {
    let answer = get(orchestrator, &format!("/api/wire?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn operations(page: &Value) -> Vec<String> {
    let exchanges = page["exchanges"].as_array().expect("a list");
    exchanges.iter().map(|exchange| exchange["operation"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn exchanges_are_listed_when_they_have_ended() {
    let (orchestrator, worker) = started().await;
    orchestrator.submit(NewTask::new("x").with_params(json!({"a": 1}))).expect("room");
    let task = worker.task().await;
    worker.result(&task, json!({"status": "success", "data": {"b": 2}})).await;
    worker.beat(&json!({"status": "idle"})).await;
    worker.post("events", &json!({"event_type": "seen", "payload": {}})).await;
    worker.send(Method::POST, "auth/token", "{}").await;
    get(&orchestrator, "/api/tasks").await;
    let page = wire(&orchestrator, "").await;
    assert_eq!(operations(&page), ["register", "poll", "result", "heartbeat", "event", "token"]);
    assert_eq!(page["next"], 6);

    let poll = &page["exchanges"][1];
    assert_eq!((&poll["n"], &poll["worker_id"], &poll["method"]), (&json!(2), &json!("w"), &json!("GET")));
    assert_eq!((&poll["path"], &poll["status"]), (&json!("/_worker/workers/w/tasks/next"), &json!(200)));
    assert_eq!(
        (&poll["cut"], &poll["request_bytes"], &poll["request"]["body"]),
        (&json!(false), &json!(0), &json!(""))
    );
    assert!(poll.get("fault").is_none(), "{poll}");
    let body = poll["response"]["body"].as_str().expect("a text");
    assert_eq!(serde_json::from_str::<Value>(body).expect("JSON")["task_id"], task["task_id"]);
    assert_eq!(poll["response_bytes"], body.len());
    assert_eq!(poll["response"]["headers"]["content-type"], "application/json");
    assert!(poll["at"].as_f64().expect("a number") > 1.7e9 && poll["seconds"].as_f64() >= Some(0.0));
    let result = &page["exchanges"][2];
    let body = result["request"]["body"].as_str().expect("a text");
    assert!(body.contains(r#""data":{"b":2}"#), "{body}");
    assert_eq!(result["request_bytes"], body.len());
    assert_eq!(page["exchanges"][5]["status"], 404);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_body_that_was_refused_is_shown() {
    let (orchestrator, worker) = started().await;
    let large = format!("{{\"token\":\"abc\",\"data\":\"{}\"}}", "x".repeat(1024 * 1024));
    for (path, operation) in [("tasks/result", "result"), ("workers/register", "register")] {
        worker.send(Method::POST, path, large.clone()).await.error(413);
        let page = wire(&orchestrator, &format!("limit=1&operation={operation}")).await;
        let exchange = &page["exchanges"][0];
        assert_eq!((&exchange["status"], &exchange["cut"]), (&json!(413), &json!(true)));
        assert_eq!(exchange["request_bytes"], large.len());
        let body = exchange["request"]["body"].as_str().expect("a text");
        assert!(body.starts_with(r#"{"token":"***","data":"xxx"#), "{}", &body[..50]);
        assert!(body.len() > 60 * 1024 && body.len() <= 64 * 1024, "{}", body.len());
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn exchanges_are_chosen_by_number_worker_and_operation() {
    let (orchestrator, worker) = started().await;
    let other = Worker::registered(&orchestrator, "v", &["x"]).await;
    for _ in 0..3 {
        worker.beat(&json!({"status": "idle"})).await;
        other.beat(&json!({"status": "idle"})).await;
    }
    let numbers = async |query: &str| {
        let page = wire(&orchestrator, query).await;
        let exchanges = page["exchanges"].as_array().expect("a list");
        let numbers: Vec<u64> =
            exchanges.iter().map(|exchange| exchange["n"].as_u64().expect("a number")).collect();
        (numbers, page["next"].as_u64().expect("a number"))
    };
    assert_eq!(numbers("").await, (vec![1, 2, 3, 4, 5, 6, 7, 8], 8));
    assert_eq!(numbers("limit=3").await, (vec![6, 7, 8], 8), "the last ones");
    assert_eq!(numbers("after=0&limit=3").await, (vec![1, 2, 3], 3), "the following ones");
    assert_eq!(numbers("after=3&limit=3&worker=v").await, (vec![4, 6, 8], 8));
    assert_eq!(numbers("after=3&limit=2&worker=v").await, (vec![4, 6], 6));
    assert_eq!(numbers("after=8").await, (vec![], 8));
    assert_eq!(numbers("operation=register").await, (vec![1, 2], 8));
    assert_eq!(numbers("operation=register&worker=w").await, (vec![1], 8));
    assert_eq!(numbers("worker=stranger").await, (vec![], 8));
    for (query, expected) in [
        ("limit=0", "`limit` is `0`, expected a number from 1 to 10000"),
        ("limit=10001", "`limit`"),
        ("operation=fly", "`fly`"),
        ("format=pdf", "`pdf`"),
        ("color=red", "`color`"),
        ("after=-1", "invalid digit"),
    ] {
        let text = get(&orchestrator, &format!("/api/wire?{query}")).await.error(400);
        assert!(text.contains(expected), "{query}: {text}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn no_secret_is_shown() {
    let settings = Settings::new().with_token("a-worker-token");
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let key = orchestrator.storage().expect("it has one").secret_key().to_owned();
    let worker = Worker { token: "a-worker-token".to_owned(), ..Worker::new(&orchestrator, "w") };
    let registration = json!({
        "worker_id": "w", "supported_tasks": ["x"], "note": format!("{key} and a-worker-token"),
        "nested": {"api_token": "another", "list": [1, {"password": "one more"}]}, "visible": "seen",
    });
    assert_eq!(worker.post("workers/register", &registration).await.status, 200);
    let wrong = Worker { token: "a-wrong-token".to_owned(), ..worker.clone() };
    wrong.post("events", &json!({"event_type": "a-wrong-token", "payload": {}})).await.error(401);
    for query in ["", "format=har"] {
        let text = wire(&orchestrator, query).await.to_string();
        for secret in [key.as_str(), "a-worker-token", "a-wrong-token", "another", "one more"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("***") && text.contains("seen"), "{text}");
    }
    let page = wire(&orchestrator, "").await;
    assert_eq!(page["exchanges"][0]["request"]["headers"]["x-worker-token"], "***");
    let body = page["exchanges"][0]["request"]["body"].as_str().expect("a text");
    let body: Value = serde_json::from_str(body).expect("still JSON");
    assert_eq!(body["nested"], json!({"api_token": "***", "list": [1, {"password": "***"}]}));
    assert_eq!(body["note"], "*** and ***");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn large_bodies_are_shown_in_part() {
    let (orchestrator, worker) = started().await;
    let submitted = orchestrator.submit(NewTask::new("x").with_params(json!({"a": "p".repeat(100_000)})));
    submitted.expect("room");
    let task = worker.task().await;
    worker.result(&task, json!({"data": {"a": "d".repeat(200_000)}})).await;
    let page = wire(&orchestrator, "after=1").await;
    let (poll, result) = (&page["exchanges"][0], &page["exchanges"][1]);
    assert_eq!((&poll["cut"], &result["cut"]), (&json!(true), &json!(true)));
    assert!(
        poll["response_bytes"].as_u64() > Some(100_000) && result["request_bytes"].as_u64() > Some(200_000)
    );
    for body in [&poll["response"]["body"], &result["request"]["body"]] {
        assert_eq!(body.as_str().expect("a text").len(), 64 * 1024);
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn an_exchange_without_an_answer_has_no_status() {
    let (orchestrator, worker) = started().await;
    let poll = worker.open_poll().await;
    eventually(|| open_polls(&orchestrator) == 1).await;
    assert_eq!(operations(&wire(&orchestrator, "").await), ["register"], "it goes on");
    drop(poll);
    eventually(|| open_polls(&orchestrator) == 0).await;
    orchestrator.set_fault(Fault::Refuse, FaultSwitch::on()).expect("valid");
    worker.bytewise("PATCH", "workers/w", "{}").await;
    let page = wire(&orchestrator, "after=1").await;
    let (poll, beat) = (&page["exchanges"][0], &page["exchanges"][1]);
    assert_eq!((&poll["operation"], &poll["status"]), (&json!("poll"), &Value::Null));
    assert_eq!(
        (&beat["operation"], &beat["status"], &beat["fault"]),
        (&json!("heartbeat"), &Value::Null, &json!("refuse"))
    );
    assert_eq!(beat["response"], json!({"headers": {}, "body": ""}));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn frames_of_websockets_are_listed_and_belong_to_their_entry_in_an_archive() {
    let (orchestrator, worker) = started().await;
    let mut socket = connect(&worker).await.expect("a websocket");
    socket.send(Message::text(r#"{"event_type":"seen","payload":{}}"#)).await.expect("written");
    socket.send(Message::Binary(vec![0xff].into())).await.expect("written");
    answers_a_ping(&mut socket).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    worker.task().await;
    orchestrator.cancel(&submitted.job_id).expect("it runs");
    let command = in_time(futures_util::StreamExt::next(&mut socket)).await.expect("open").expect("a frame");

    let page = wire(&orchestrator, "").await;
    assert_eq!(operations(&page), ["register", "websocket", "frame_in", "frame_in", "poll", "frame_out"]);
    let (handshake, frame, told) = (&page["exchanges"][1], &page["exchanges"][2], &page["exchanges"][5]);
    assert_eq!((&handshake["status"], &handshake["path"]), (&json!(101), &json!("/_worker/ws/w")));
    assert_eq!(frame["request"]["body"], r#"{"event_type":"seen","payload":{}}"#);
    assert_eq!(
        (&frame["worker_id"], &frame["status"], &frame["request_bytes"]),
        (&json!("w"), &Value::Null, &json!(34))
    );
    assert_eq!(told["response"]["body"], command.to_text().expect("a text"));

    let answer = get(&orchestrator, "/api/wire?format=har").await;
    let disposition = answer.headers["content-disposition"].to_str().expect("a text");
    assert_eq!(disposition, "attachment; filename=\"avtomatika.har\"");
    let log = answer.json()["log"].clone();
    assert_eq!((&log["version"], &log["creator"]["name"]), (&json!("1.2"), &json!("avtomatika")));
    let entries = log["entries"].as_array().expect("a list");
    assert_eq!(entries.len(), 3, "one for each HTTP exchange");
    let messages = entries[1]["_webSocketMessages"].as_array().expect("a list");
    let seen: Vec<_> = messages.iter().map(|message| (&message["type"], &message["opcode"])).collect();
    let expected = [(json!("send"), json!(1)), (json!("send"), json!(2)), (json!("receive"), json!(1))];
    assert_eq!(seen, expected.iter().map(|(kind, code)| (kind, code)).collect::<Vec<_>>());
    assert_eq!(messages[1]["data"], "/w==");
    for entry in entries {
        for member in ["startedDateTime", "time", "request", "response", "cache", "timings"] {
            assert!(entry.get(member).is_some(), "{member}: {entry}");
        }
    }
    let registration = &entries[0]["request"];
    assert_eq!(registration["method"], "POST");
    assert_eq!(registration["url"], format!("http://{}/_worker/workers/register", worker.address));
    assert!(registration["postData"]["text"].as_str().expect("a text").contains("\"worker_id\""));
    assert_eq!(entries[0]["response"]["status"], 200);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn only_the_last_exchanges_are_kept() {
    let (orchestrator, worker) = started().await;
    let mut socket = connect(&worker).await.expect("a websocket");
    for number in 0..10_005 {
        socket.feed(Message::text(format!("{{\"n\":{number}}}"))).await.expect("written");
    }
    answers_a_ping(&mut socket).await;
    let page = wire(&orchestrator, "after=0&limit=10000").await;
    let exchanges = page["exchanges"].as_array().expect("a list");
    assert_eq!(exchanges.len(), 10_000);
    assert_eq!(exchanges[0]["request"]["body"], r#"{"n":5}"#);
    let archive = wire(&orchestrator, "format=har").await;
    let entries = archive["log"]["entries"].as_array().expect("a list");
    assert_eq!(entries.len(), 1, "the handshake is no longer known");
    assert_eq!(entries[0]["_webSocketMessages"].as_array().expect("a list").len(), 10_000);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_message_without_the_token_is_listed_without_its_body_and_meets_no_fault() {
    let (orchestrator, worker) = started().await;
    let stranger = Worker { token: String::new(), ..worker };
    orchestrator.set_fault(Fault::Error5xx, FaultSwitch::on()).expect("a fault");
    let answer = stranger.send(Method::POST, "events", r#"{"event_type": "spam"}"#).await;
    assert!(answer.error(401).contains("X-Worker-Token"), "{answer:?}");
    let page = wire(&orchestrator, "operation=event").await;
    let exchange = &page["exchanges"][0];
    assert_eq!((&exchange["status"], &exchange["request"]["body"]), (&json!(401), &json!("")));
    assert!(exchange.get("fault").is_none(), "{exchange}");
    orchestrator.shutdown().await;
}
