//! The cable that can be cut.

use std::io::ErrorKind;

use testkit::{Endpoint, Relay, ScriptedOrchestrator};
use tokio::net::TcpStream;

use crate::client::Client;

#[tokio::test]
async fn bytes_go_through_until_the_cable_is_cut() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    let mut client = Client::connect(relay.addr()).await;
    assert_eq!(client.register("w1").await.status, 200);
    assert!(relay.bytes_forwarded() > 100);
    relay.cut();
    assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut client = Client::connect(relay.addr()).await;
    assert_eq!(client.register("w1").await.status, 200);
    assert_eq!(relay.connections_accepted(), 2);
}

#[tokio::test]
async fn a_stalled_cable_delivers_later() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    let mut client = Client::connect(relay.addr()).await;
    client.register("w1").await;
    relay.stall();
    let mut direct = Client::of(&orchestrator).await;
    client.send_request("POST", "/_worker/events", "{}").await.unwrap();
    // Time enough for the bytes to pass if they could.
    for _ in 0..20 {
        direct.register("w2").await;
    }
    assert_eq!(orchestrator.count(Endpoint::Event), 0);
    relay.resume();
    assert_eq!(client.response().await.unwrap().status, 200);
}

#[tokio::test]
async fn resets_and_refusals_come_through() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let relay = Relay::start(orchestrator.addr()).await;
    orchestrator.answer_next(Endpoint::Event, testkit::Answer::Reset);
    let mut client = Client::connect(relay.addr()).await;
    client.send_request("POST", "/_worker/events", "{}").await.unwrap();
    assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    relay.refuse().await;
    assert_eq!(TcpStream::connect(relay.addr()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    relay.accept().await;
    assert_eq!(Client::connect(relay.addr()).await.register("w1").await.status, 200);
}

#[tokio::test]
async fn a_turned_cable_leads_elsewhere() {
    let (one, other) = (ScriptedOrchestrator::start().await, ScriptedOrchestrator::start().await);
    let relay = Relay::start(one.addr()).await;
    let mut client = Client::connect(relay.addr()).await;
    client.register("w1").await;
    relay.turn(other.addr());
    assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    Client::connect(relay.addr()).await.register("w2").await;
    assert_eq!((one.knows("w1"), one.knows("w2"), other.knows("w2")), (true, false, true));
}
