//! Whether the server is fast enough to be the other side of a benchmark.

use std::time::{Duration, Instant};

use testkit::{Endpoint, Script, ScriptedOrchestrator};
use tokio::task::JoinSet;

use crate::client::Client;

const CLIENTS: usize = 64;
/// Requests sent ahead, so that the plain client of these tests is not what is measured.
const AHEAD: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone and with --release"]
async fn it_serves_forty_thousand_requests_a_second() {
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().without_recording()).await;
    let task = bytes::Bytes::from(testkit::task("echo", serde_json::json!({})).to_string());
    orchestrator.make_tasks(move || Some(task.clone()));
    let end = Instant::now() + Duration::from_secs(3);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = Client::of(&orchestrator).await;
        clients.spawn(async move {
            let poll = "GET /_worker/workers/w1/tasks/next HTTP/1.1\r\nHost: x\r\n\r\n";
            let result = "POST /_worker/tasks/result HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
            let batch = [poll, result].concat().repeat(AHEAD / 2);
            while Instant::now() < end {
                client.send(&batch).await.unwrap();
                for _ in 0..AHEAD {
                    client.response().await.unwrap();
                }
            }
        });
    }
    clients.join_all().await;
    let total = orchestrator.count(Endpoint::Poll) + orchestrator.count(Endpoint::Result);
    assert!(total / 3 > 40_000, "only {} requests a second", total / 3);
}
