//! Connections dropped and refused.

use std::io::ErrorKind;

use testkit::{Answer, Endpoint, ScriptedOrchestrator};
use tokio::net::TcpStream;

use crate::client::Client;

#[tokio::test]
async fn refusing_keeps_the_port_and_the_open_connections() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    client.register("w1").await;
    for _ in 0..3 {
        orchestrator.refuse().await;
        orchestrator.refuse().await;
        let refused = TcpStream::connect(orchestrator.addr()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(client.heartbeat("w1", "{}").await.status, 200);
        orchestrator.accept().await;
        orchestrator.accept().await;
        assert_eq!(Client::of(&orchestrator).await.register("w2").await.status, 200);
    }
}

#[tokio::test]
async fn dropped_connections_end_and_new_ones_are_served() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    orchestrator.answer_next(Endpoint::Register, Answer::Hang);
    client.send_request("POST", "/_worker/workers/register", "{}").await.unwrap();
    orchestrator.wait_for_requests(Endpoint::Register, 1).await;
    orchestrator.drop_connections();
    assert_eq!(client.rest().await.unwrap(), b"");
    assert_eq!(Client::of(&orchestrator).await.register("w1").await.status, 200);
}

#[tokio::test]
async fn everything_ends_with_the_last_handle() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let address = orchestrator.addr();
    let other = orchestrator.clone();
    let mut client = Client::of(&orchestrator).await;
    client.register("w1").await;
    drop(orchestrator);
    assert_eq!(client.heartbeat("w1", "").await.status, 200);
    drop(other);
    assert_eq!(client.rest().await.unwrap(), b"");
    // The listener ends in its own time: connections made until then are closed without an answer.
    while let Ok(stream) = TcpStream::connect(address).await {
        assert!(Client::over(stream).poll("w1").await.is_err());
    }
}

#[tokio::test]
async fn stopping_waits_for_the_end() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut client = Client::of(&orchestrator).await;
    client.register("w1").await;
    orchestrator.stop().await;
    assert_eq!(orchestrator.open_connections(), 0);
    assert!(TcpStream::connect(orchestrator.addr()).await.is_err());
}
