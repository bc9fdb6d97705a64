//! Bodies that are compressed, cut or too large.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rxon::transport::Response;
use rxon::transport::http::{MAX_BODY, MAX_SMALL_BODY};
use rxon::{Error, ErrorKind};
use testkit::{Answer, Endpoint, ScriptedOrchestrator};

use crate::client::{Client, poll, send};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: impl Into<Bytes>) -> Answer {
    let headers = vec![("content-encoding".to_owned(), encoding.to_owned())];
    Answer::Raw { status: 200, headers, body: body.into() }
}

/// Returns the answer to a result as the client sees it, and checks that the transport is usable afterwards.
async fn read(answer: Answer) -> Result<Response, Error> {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Result, answer);
    let mut transport = Client::of(&orchestrator).transport();
    let read = send(&mut *transport).await;
    send(&mut *transport).await.expect("the transport is usable after any answer");
    read
}

/// Returns the answer to a poll as the client sees it.
async fn read_poll(answer: Answer) -> Result<Response, Error> {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.answer_next(Endpoint::Poll, answer);
    Client::of(&orchestrator).transport().exchange(poll()).await
}

#[tokio::test]
async fn gzip_is_decoded() {
    let text = "{\"text\":\"ключ\"}".repeat(10_000);
    let (one, two) = text.as_bytes().split_at(text.len() / 3);
    let whole = gzip(text.as_bytes());
    for (what, encoding, body) in [
        ("one member", "gzip", whole.clone()),
        ("the old name", "X-GZip", whole.clone()),
        ("two members", "gzip", [gzip(one), gzip(two)].concat()),
        ("an empty member", "gzip", [gzip(b""), whole.clone()].concat()),
        ("padding", "gzip", [whole.clone(), vec![0; 600]].concat()),
        ("garbage behind", "gzip", [&whole[..], b"garbage"].concat()),
        ("no encoding", "identity", text.clone().into_bytes()),
        ("an empty encoding", "", text.clone().into_bytes()),
    ] {
        let response = read(encoded(encoding, body)).await.expect(what);
        assert!(response.body == text.as_bytes(), "{what}: {} bytes", response.body.len());
    }
}

#[tokio::test]
async fn an_empty_body_needs_no_decoding() {
    for answer in [
        encoded("gzip", ""),
        encoded("gzip", gzip(b"")),
        encoded("zstd", ""),
        Answer::Bytes(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        ),
        Answer::Bytes("HTTP/1.1 204 No Content\r\ncontent-encoding: br\r\n\r\n".into()),
    ] {
        let response = read(answer.clone()).await.unwrap_or_else(|error| panic!("{answer:?}: {error}"));
        assert!(response.body.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_an_error_with_its_reason() {
    let whole = gzip(&b"some text, long enough to be cut".repeat(100));
    let mut changed = whole.clone();
    let sum = changed.len() - 8;
    changed[sum] ^= 1;
    for (what, answer, text) in [
        ("cut", encoded("gzip", whole[..whole.len() / 2].to_vec()), "not valid gzip"),
        ("cut in the sum", encoded("gzip", whole[..whole.len() - 3].to_vec()), "not valid gzip"),
        ("cut in the head", encoded("gzip", whole[..5].to_vec()), "not valid gzip"),
        ("a wrong sum", encoded("gzip", changed), "not valid gzip"),
        ("a second member cut", encoded("gzip", [&whole[..], &whole[..20]].concat()), "not valid gzip"),
        ("not compressed at all", encoded("gzip", "{\"status\":\"ok\"}"), "not valid gzip"),
        ("not asked for", encoded("zstd", "(\u{b5}/"), "content encoding `zstd`"),
        ("twice", encoded("gzip, gzip", gzip(&whole)), "content encoding `gzip, gzip`"),
    ] {
        let error = read(answer).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error:?}");
        assert!(error.to_string().contains(text), "{what}: {error}");
        assert!(error.is_ambiguous() && error.progress().answered, "{what}: the request was processed");
    }
}

#[tokio::test]
async fn a_large_body_is_received_whole() {
    let body = Bytes::from(vec![b'x'; 10 << 20]);
    let response = read_poll(Answer::body(body.clone())).await.expect("an answer");
    assert!(response.body == body);
}

async fn is_too_large(answer: Answer) {
    for (answered, limit) in
        [(read_poll(answer.clone()).await, MAX_BODY), (read(answer).await, MAX_SMALL_BODY)]
    {
        let error = answered.expect_err("it is too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
        assert_eq!(error.to_string(), format!("the answer is too large: more than {limit} bytes"));
        assert!(error.is_ambiguous() && error.progress().answered, "the request was processed");
    }
}

#[tokio::test]
async fn a_body_with_too_large_a_declared_length_is_not_read() {
    let body = Bytes::from_static(b"{");
    for declared_length in [MAX_BODY + 1, usize::MAX >> 1] {
        is_too_large(Answer::Truncated { status: 200, declared_length, body: body.clone() }).await;
    }
    let headers = vec![
        ("content-encoding".to_owned(), "gzip".to_owned()),
        ("content-length".to_owned(), (MAX_BODY + 1).to_string()),
    ];
    is_too_large(Answer::Raw { status: 200, headers, body }).await;
}

#[tokio::test]
async fn an_endless_body_is_refused_at_the_limit() {
    is_too_large(Answer::Endless { status: 200 }).await;
}

#[tokio::test]
async fn a_bomb_is_refused_at_the_limit() {
    // 20 GiB, compressed to 20 MB.
    let member = gzip(&vec![b' '; 1 << 20]);
    let bomb: Vec<u8> = member.iter().copied().cycle().take(member.len() * (20 << 10)).collect();
    is_too_large(encoded("gzip", bomb)).await;
}
