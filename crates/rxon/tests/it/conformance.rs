//! Both transports pass the checks of the contract.

use std::net::TcpListener;
use std::time::Duration;

use rxon::conformance;
use rxon::transport::memory::{self, Incoming};
use rxon::transport::{Operation, Response};
use serde_json::json;
use testkit::{Answer, Endpoint, ScriptedOrchestrator};

use crate::client::Client;

#[tokio::test]
async fn the_memory_transport_conforms() {
    let (connector, mut peer) = memory::pair();
    let serve = async {
        let mut silent = Vec::new();
        while let Some(incoming) = peer.next().await {
            silent.extend(react(incoming));
        }
    };
    let check = async move { conformance::all(&connector).await };
    tokio::join!(serve, check);
}

/// Answers as the checks require. Returns a request that must never be answered.
fn react(incoming: Incoming) -> Option<Incoming> {
    let size = incoming.request.body.len();
    let response = match incoming.request.operation {
        Operation::Register => Response::new(200, r#"{"status":"registered"}"#),
        Operation::Poll(_) => Response::new(204, ""),
        Operation::Result => Response::new(200, format!(r#"{{"bytes":{size}}}"#)),
        Operation::Token => {
            let retry_after = Some(Duration::from_secs(7));
            Response { retry_after, ..Response::new(429, r#"{"error":"not now"}"#) }
        }
        Operation::Heartbeat => return Some(incoming),
        _ => return None,
    };
    incoming.answer(Ok(response));
    None
}

#[tokio::test]
async fn the_http_transport_conforms() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_always(Endpoint::Register, Answer::ok(json!({"status": "registered"})));
    let nothing = Answer::Raw { status: 204, headers: Vec::new(), body: Vec::new().into() };
    orchestrator.answer_always(Endpoint::Poll, nothing);
    orchestrator.on(Endpoint::Result, |request| Some(Answer::ok(json!({"bytes": request.body.len()}))));
    let refused = Answer::Json(429, json!({"error": "not now"})).header("retry-after", "7");
    orchestrator.answer_always(Endpoint::Token, refused);
    orchestrator.answer_always(Endpoint::Heartbeat, Answer::Hang);
    orchestrator.answer_always(Endpoint::Event, Answer::CloseAfterReading);
    conformance::all(&Client::of(&orchestrator).connector()).await;
}

#[tokio::test]
async fn without_a_peer_both_fail_to_connect() {
    let (connector, peer) = memory::pair();
    drop(peer);
    conformance::an_unreachable_peer_is_named(&connector).await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    conformance::an_unreachable_peer_is_named(&Client::at(&format!("http://{nobody}")).connector()).await;
}
