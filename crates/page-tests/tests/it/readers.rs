//! Readers of events that go away, and many of them.

use std::time::Duration;

use page_tests::{Page, Stage, until};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_goes_away_leaves_the_server_as_it_was() {
    let stage = Stage::start().await;
    let page = Page::open(&stage.url(), "/").await;
    page.is_live().await;
    page.leave().await;
    for number in 0..1000 {
        stage.submit("echo", &json!({ "number": number }));
    }
    until("all have ended", async || {
        let tasks = stage.orchestrator().tasks(1000);
        tasks.iter().all(|task| task.status == avtomatika_dev::TaskStatus::Finished).then_some(())
    })
    .await;
    let page = Page::open(&stage.url(), "/").await;
    page.find("link", "Finished 1000").await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_readers_and_a_page_see_the_same() {
    let stage = Stage::start().await;
    let address = stage.orchestrator().address();
    let mut readers = JoinSet::new();
    for _ in 0..50 {
        readers.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the server listens");
            let request = "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request.as_bytes()).await.expect("the server reads");
            let (mut text, mut part) = (String::new(), vec![0; 65_536]);
            // The name of the last task, in its event.
            while !text.contains("\"type\":\"last\"") {
                let length = stream.read(&mut part).await.expect("the stream goes on");
                assert_ne!(length, 0, "the server has closed the stream");
                text.push_str(&String::from_utf8_lossy(&part[..length]));
            }
            text.matches("event: task\n").count()
        });
    }
    let page = Page::open(&stage.url(), "/").await;
    page.is_live().await;
    for number in 0..200 {
        stage.submit("echo", &json!({ "number": number }));
    }
    stage.submit("last", &json!({}));
    let all = tokio::time::timeout(Duration::from_secs(45), readers.join_all()).await.expect("in time");
    assert!(all.iter().all(|events| *events > 0), "each has seen tasks: {all:?}");
    page.find("link", "Finished 200").await;
    page.end().await;
    stage.end().await;
}
