//! Websockets of workers.

use avtomatika_dev::{Cancellation, DevOrchestrator, Event, NewTask, Settings, TaskStatus};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, Result};

use crate::client::{Worker, in_time};

pub(crate) type Socket = WebSocketStream<TcpStream>;

async fn start() -> (DevOrchestrator, Worker) {
    let orchestrator = DevOrchestrator::start(Settings::new().without_storage()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    (orchestrator, worker)
}

pub(crate) async fn connect(worker: &Worker) -> Result<Socket> {
    let url = format!("ws://{}/_worker/ws/{}", worker.address, worker.id);
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("x-worker-token", worker.token.parse().expect("a header"));
    let stream = TcpStream::connect(worker.address).await.expect("it listens");
    in_time(tokio_tungstenite::client_async(request, stream)).await.map(|(socket, _)| socket)
}

/// Returns the next frame with text, as JSON; or the code of the closure.
async fn receive(socket: &mut Socket) -> std::result::Result<Value, u16> {
    loop {
        match in_time(socket.next()).await {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(text.as_str()).expect("JSON")),
            Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            None | Some(Err(_)) => return Err(0),
        }
    }
}

pub(crate) async fn answers_a_ping(socket: &mut Socket) {
    socket.send(Message::Ping("there?".into())).await.expect("written");
    while !matches!(in_time(socket.next()).await, Some(Ok(Message::Pong(_)))) {}
}

#[tokio::test]
async fn a_cancelled_task_is_told_at_once() {
    let (orchestrator, worker) = start().await;
    let mut socket = connect(&worker).await.expect("a websocket");
    answers_a_ping(&mut socket).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    assert_eq!(orchestrator.cancel(&submitted.job_id), Ok(Cancellation::CancelRequested));
    let command = receive(&mut socket).await.expect("a command");
    let (job_id, task_id) = (&task["job_id"], &task["task_id"]);
    assert_eq!(command, json!({"command": "cancel_task", "task_id": task_id, "job_id": job_id}));
    worker.result(&task, json!({"status": "cancelled"})).await;
    let view = in_time(orchestrator.wait(&submitted.job_id)).await.expect("known");
    assert_eq!(view.status, TaskStatus::Cancelled);

    orchestrator.shutdown().await;
    assert_eq!(receive(&mut socket).await, Err(1001), "going away");
}

#[tokio::test]
async fn events_and_progress_of_both_generations_are_taken_and_rubbish_is_ignored() {
    let (orchestrator, worker) = start().await;
    let mut feed = orchestrator.subscribe();
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let task = worker.task().await;
    let mut socket = connect(&worker).await.expect("a websocket");
    let older = json!({
        "event": "progress_update", "task_id": task["task_id"], "job_id": task["job_id"], "progress": 0.25,
        "message": "older",
    });
    let newer = |event_type: &str, worker_id: &str, payload: Value| {
        json!({
            "event_id": "1", "worker_id": worker_id, "origin_worker_id": worker_id, "event_type": event_type,
            "payload": payload, "target_job_id": task["job_id"], "target_task_id": task["task_id"],
        })
    };
    let frames = [
        "not JSON".to_owned(),
        "{}".to_owned(),
        newer("progress", "other", json!({"progress": 0.9})).to_string(),
        older.to_string(),
        newer("progress", "w", json!({"progress": 0.5, "message": "newer"})).to_string(),
        newer("seen", "w", json!({"cats": 2})).to_string(),
    ];
    for frame in frames {
        socket.send(Message::text(frame)).await.expect("written");
    }
    socket.send(Message::Binary(vec![0, 1, 2].into())).await.expect("written");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match in_time(feed.next()).await.expect("an event") {
            Event::Progress { progress, message, .. } => seen.push(json!([progress, message])),
            Event::Custom { event_type, .. } => seen.push(json!(event_type)),
            _ => {}
        }
    }
    assert_eq!(json!(seen), json!([[0.25, "older"], [0.5, "newer"], "seen"]));
    assert_eq!(orchestrator.task(&submitted.job_id).expect("known").progress, Some(0.5));
    answers_a_ping(&mut socket).await;
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_newer_websocket_of_the_same_worker_takes_over() {
    let (orchestrator, worker) = start().await;
    let mut first = connect(&worker).await.expect("a websocket");
    answers_a_ping(&mut first).await;
    let mut second = connect(&worker).await.expect("a websocket");
    assert_eq!(receive(&mut first).await, Err(1008));
    drop(first);
    answers_a_ping(&mut second).await;
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    worker.task().await;
    orchestrator.cancel(&submitted.job_id).expect("it runs");
    assert_eq!(receive(&mut second).await.expect("a command")["command"], "cancel_task");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn whoever_is_no_worker_or_opens_no_websocket_is_refused() {
    let settings = Settings::new().without_storage().with_token("right");
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let wrong = Worker::new(&orchestrator, "w");
    let error = connect(&wrong).await.expect_err("a wrong token");
    assert!(error.to_string().contains("401"), "{error}");
    let right = Worker { token: "right".to_owned(), ..wrong };
    let answer = right.send(Method::GET, "ws/w", "").await;
    assert!(answer.error(426).contains("expected `Upgrade: websocket`"), "{answer:?}");
    let answer = right.send(Method::GET, "ws/no%20id", "").await;
    assert!(answer.error(400).contains("`worker_id`"), "{answer:?}");
    orchestrator.shutdown().await;
}
