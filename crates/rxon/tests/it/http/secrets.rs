//! Tokens, credentials and payloads are never printed.

use rxon::transport::{Connector as _, Operation};
use testkit::{Answer, Endpoint, ScriptedOrchestrator};

use crate::client::{Client, TOKEN, request, send};

/// The token, the credentials of the address and of the proxy in all their forms, and payloads.
const SECRETS: [&str; 7] =
    [TOKEN, "s3cret", "bWU6czNjcmV0", "pr0xy", "dXM6cHIweHk=", "pay-load", "answer-token"];

fn has_no_secrets(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn debug_output_and_errors_contain_no_secrets() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let url = format!("http://me:s3cret@{}", orchestrator.addr());
    for variables in [&[][..], &[("HTTP_PROXY", "http://us:pr0xy@127.0.0.1:1")]] {
        let client = Client::at(&url).through(variables);
        has_no_secrets(&format!("{:?} {:?}", client.token(), client.settings()));
        let connector = client.connector();
        let mut transport = connector.transport();
        orchestrator.answer_next(Endpoint::Result, Answer::body("answer-token"));
        let exchange = request(Operation::Result, "pay-load");
        has_no_secrets(&format!("{connector:?} {transport:?} {exchange:?}"));
        let outcome = transport.exchange(exchange).await;
        has_no_secrets(&format!("{outcome:?} {connector:?} {transport:?}"));
    }
}

#[tokio::test]
async fn no_error_quotes_a_payload() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let url = format!("http://me:s3cret@{}", orchestrator.addr());
    let mut transport = Client::at(&url).transport();
    let encoding = vec![("content-encoding".to_owned(), "gzip".to_owned())];
    for answer in [
        Answer::Reset,
        Answer::CloseBeforeReading,
        Answer::Bytes("answer-token\r\n\r\n".into()),
        Answer::Bytes("HTTP/1.1 200 OK\r\nanswer-token\r\n\r\n".into()),
        Answer::Bytes("HTTP/1.1 200 OK\r\ncontent-length: answer-token\r\n\r\n".into()),
        Answer::Truncated { status: 200, declared_length: 1 << 30, body: "answer-token".into() },
        Answer::Truncated { status: 200, declared_length: 100, body: "answer-token".into() },
        Answer::Raw { status: 200, headers: encoding, body: "answer-token".into() },
    ] {
        orchestrator.answer_next(Endpoint::Result, answer.clone());
        let error = transport.exchange(request(Operation::Result, "pay-load")).await.expect_err("no answer");
        has_no_secrets(&format!("{error} {error:?} {}", error.chain()));
        send(&mut *transport).await.expect("the transport is usable after an error");
    }
}
