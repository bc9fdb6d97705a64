//! The shutdown.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Error, NewTask, Settings, serve};
use testkit::Stopwatch;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Worker, eventually, in_time, open_polls};

#[tokio::test]
async fn held_polls_are_answered_and_connections_closed_at_once() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let idle = TcpStream::connect(worker.address).await.expect("it listens");
    let start = Stopwatch::start();
    let shutdown = async {
        eventually(|| open_polls(&orchestrator) == 1).await;
        in_time(orchestrator.shutdown()).await;
    };
    let (answer, ()) = tokio::join!(worker.poll_for("30"), shutdown);
    assert_eq!(answer.status, 204);
    assert!(start.took().is_below(Duration::from_secs(10)), "{:?}", start.took());
    assert!(TcpStream::connect(worker.address).await.is_err(), "the port is free");
    drop(idle);
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_delays_nothing() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let mut stream = TcpStream::connect(orchestrator.address()).await.expect("it listens");
    let head = "POST /api/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.expect("written");
    let start = Stopwatch::start();
    orchestrator.shutdown().await;
    assert!(start.took().is_below(Duration::from_secs(10)), "{:?}", start.took());
}

#[tokio::test]
async fn waiting_callers_get_an_error() {
    let orchestrator =
        std::sync::Arc::new(DevOrchestrator::start(Settings::new()).await.expect("a free port"));
    let submitted = orchestrator.submit(NewTask::new("x")).expect("room");
    let mut feed = orchestrator.subscribe();
    let waiting = orchestrator.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { waiting.wait(&submitted.job_id).await });
    // The waiting call is dropped, as `select!` would do.
    tokio::task::yield_now().await;
    tasks.shutdown().await;
    let orchestrator = std::sync::Arc::into_inner(orchestrator).expect("the last reference");
    orchestrator.shutdown().await;
    assert!(in_time(feed.next()).await.is_none());
    assert_eq!(Error::ShutDown.to_string(), "the orchestrator was shut down");
}

#[tokio::test]
async fn serve_ends_with_its_signal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = serve(listener, Settings::new(), async {
        let _ = stopped.await;
    });
    let using = async {
        let request = crate::client::request(address, hyper::Method::GET, "/api/health", &[], "");
        assert_eq!(crate::client::send(address, request).await.status, 200);
        stop.send(()).expect("it serves");
    };
    let (served, ()) = tokio::join!(in_time(serving), using);
    served.expect("no error");
}

#[tokio::test]
async fn a_dropped_orchestrator_ends_too() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let mut feed = orchestrator.subscribe();
    let dropped = async {
        eventually(|| open_polls(&orchestrator) == 1).await;
        drop(orchestrator);
        in_time(feed.next()).await
    };
    let (answer, event) = tokio::join!(worker.poll_for("30"), dropped);
    assert_eq!(answer.status, 204);
    assert!(event.is_none());
}
