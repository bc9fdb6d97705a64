//! Connections that are reused or closed, and the progress in the errors of their exchanges.

use bytes::Bytes;
use rxon::transport::{Operation, Transport};
use rxon::{Error, ErrorKind, ExchangeProgress};
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Tls};
use tokio::io::AsyncWriteExt as _;

use super::{LARGE, against, read_head};
use crate::client::{Client, fail, poll, request, send};

const WRITTEN: ExchangeProgress =
    ExchangeProgress { written: true, reused: false, answered: false, status: None };

async fn started() -> (ScriptedOrchestrator, Box<dyn Transport>) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let transport = Client::of(&orchestrator).transport();
    (orchestrator, transport)
}

/// Returns the numbers of the connections on which results were received.
fn connections(orchestrator: &ScriptedOrchestrator) -> Vec<u64> {
    orchestrator.requests(Endpoint::Result).iter().map(|request| request.connection).collect()
}

/// Closes all connections and waits until the server's side is closed.
async fn closed(orchestrator: &ScriptedOrchestrator) {
    orchestrator.drop_connections();
    while orchestrator.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_transport_keeps_its_connection_for_itself() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let connector = Client::of(&orchestrator);
    let (mut one, mut other) = (connector.transport(), connector.transport());
    assert_eq!(orchestrator.connections_accepted(), 0, "a connection is opened only when it is needed");
    for _ in 0..3 {
        send(&mut *one).await.expect("an answer");
        one.exchange(request(Operation::Event, "{}")).await.expect("an answer");
        send(&mut *other).await.expect("an answer");
    }
    assert_eq!(connections(&orchestrator), [1, 2, 1, 2, 1, 2]);
    assert_eq!(orchestrator.connections_accepted(), 2);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_before_anything_is_written() {
    let (orchestrator, mut transport) = started().await;
    for _ in 0..50 {
        send(&mut *transport).await.expect("an answer");
        closed(&orchestrator).await;
    }
    send(&mut *transport).await.expect("an answer");
    assert_eq!(connections(&orchestrator), (1..=51).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tls_connection_closed_while_idle_is_replaced_too() {
    let tls = Tls::new();
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().tls(tls.server_config())).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), tls.ca_pem()).unwrap();
    let mut transport = Client::of(&orchestrator).trusting(file.path()).transport();
    for _ in 0..10 {
        send(&mut *transport).await.expect("an answer");
        send(&mut *transport).await.expect("an answer");
        closed(&orchestrator).await;
    }
    assert_eq!(connections(&orchestrator), (1..=10).flat_map(|number| [number, number]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connection_is_not_reused_after_connection_close_or_extra_bytes() {
    for last in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 500 Whose?\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}\n",
    ] {
        let (orchestrator, mut transport) = started().await;
        orchestrator.answer_next(Endpoint::Result, Answer::Bytes(last.into()));
        let response = send(&mut *transport).await.expect(last);
        assert_eq!((response.status, &response.body[..]), (200, &b"{}"[..]), "{last}");
        let response = send(&mut *transport).await.expect(last);
        assert!(response.body.starts_with(b"{\"status\":\"accepted\""), "{last}");
        assert_eq!(connections(&orchestrator), [1, 2], "{last}");
    }
}

#[tokio::test]
async fn informational_answers_are_skipped() {
    let (orchestrator, mut transport) = started().await;
    let bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                 HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    orchestrator.answer_next(Endpoint::Result, Answer::Bytes(bytes.into()));
    let response = send(&mut *transport).await.expect("an answer");
    assert_eq!((response.status, &response.body[..]), (200, &b"{}"[..]));
}

/// Returns the error of an exchange on a fresh connection, and that of one on a reused connection.
async fn both_ways(answer: Answer) -> (Error, Error) {
    let (orchestrator, mut transport) = started().await;
    orchestrator.answer_next(Endpoint::Result, answer.clone());
    let fresh = fail(&mut *transport).await;
    send(&mut *transport).await.expect("the transport is usable after an error");
    orchestrator.answer_next(Endpoint::Result, answer);
    let used = fail(&mut *transport).await;
    send(&mut *transport).await.expect("the transport is usable after an error");
    assert_eq!(connections(&orchestrator), [1, 2, 2, 3], "every request was sent once");
    (fresh, used)
}

#[tokio::test]
async fn a_connection_that_ends_instead_of_an_answer_is_ambiguous_when_fresh_and_stale_when_used() {
    for answer in [Answer::CloseAfterReading, Answer::Reset] {
        let (fresh, used) = both_ways(answer).await;
        assert_eq!((fresh.kind(), fresh.progress()), (ErrorKind::Closed, WRITTEN), "{fresh:?}");
        assert!(fresh.is_ambiguous() && !fresh.is_stale_connection(), "{fresh:?}");
        assert_eq!(
            (used.kind(), used.progress()),
            (ErrorKind::Closed, ExchangeProgress { reused: true, ..WRITTEN })
        );
        assert!(used.is_stale_connection() && !used.is_ambiguous(), "{used:?}");
    }
}

#[tokio::test]
async fn a_partial_answer_is_ambiguous_on_any_connection_unless_its_status_is_a_refusal() {
    let body = Bytes::from_static(b"{\"status\":");
    for (answer, status) in [
        (Answer::Truncated { status: 200, declared_length: 100, body }, Some(200)),
        (Answer::Bytes("HTTP/1.1 200 OK\r\ncontent-le".into()), Some(200)),
        (Answer::Bytes("HTTP/1.1 503".into()), Some(503)),
        (Answer::Bytes("H".into()), None),
        (Answer::Bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n".into()), Some(200)),
        (Answer::Bytes("HTTP/1.1 100 Continue\r\n\r\n".into()), None),
    ] {
        let (fresh, used) = both_ways(answer.clone()).await;
        for (error, reused) in [(fresh, false), (used, true)] {
            assert_eq!(error.kind(), ErrorKind::Closed, "{answer:?}: {error:?}");
            assert_eq!(
                error.progress(),
                ExchangeProgress { reused, answered: true, status, ..WRITTEN },
                "{answer:?}"
            );
            assert!(!error.is_stale_connection(), "{answer:?}: {error:?}");
            assert_eq!(error.is_ambiguous(), status != Some(503), "{answer:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_protocol_error() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let (fresh, used) = both_ways(Answer::Bytes(bytes.into())).await;
        assert_eq!(
            (fresh.kind(), used.kind()),
            (ErrorKind::Protocol, ErrorKind::Protocol),
            "{bytes}: {fresh:?}"
        );
        assert!(fresh.is_ambiguous() && used.is_ambiguous() && used.progress().answered, "{bytes}");
    }
}

#[tokio::test]
async fn a_request_that_was_not_read_whole_was_not_written_whole() {
    for answer in [Answer::ResetWhileReading { after: 1000 }, Answer::ResetWhileReading { after: 100_000 }] {
        let (orchestrator, mut transport) = started().await;
        for reused in [false, true] {
            orchestrator.answer_next(Endpoint::Result, answer.clone());
            let error =
                transport.exchange(request(Operation::Result, vec![b' '; LARGE])).await.expect_err("reset");
            assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
            assert_eq!(
                error.progress(),
                ExchangeProgress { reused, ..ExchangeProgress::default() },
                "{error:?}"
            );
            assert!(!error.is_ambiguous() && error.is_retryable(), "{error:?}");
            assert!(
                error.chain().to_string().contains("os error"),
                "the reason is missing: {}",
                error.chain()
            );
            send(&mut *transport).await.expect("the transport is usable after an error");
        }
    }
}

#[tokio::test]
async fn a_small_request_counts_as_written_when_the_system_has_taken_it() {
    let (orchestrator, mut transport) = started().await;
    orchestrator.answer_next(Endpoint::Result, Answer::CloseBeforeReading);
    let error = fail(&mut *transport).await;
    assert_eq!((error.kind(), error.progress()), (ErrorKind::Closed, WRITTEN), "{error:?}");
}

/// Checks the answer of a server that answers before it has read the body, and then does `then`.
async fn answered_early(size: usize, then: impl AsyncFnOnce(tokio::net::TcpStream)) {
    let page = "x".repeat(size);
    let serve = async |mut stream: tokio::net::TcpStream| {
        read_head(&mut stream).await;
        let answer = format!("HTTP/1.1 413 Payload Too Large\r\ncontent-length: {size}\r\n\r\n{page}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        then(stream).await;
    };
    let client = async |address| {
        let mut transport = Client::at(&format!("http://{address}")).transport();
        let response = transport.exchange(request(Operation::Result, vec![b' '; LARGE])).await;
        response.unwrap_or_else(|error| panic!("{}", error.chain()))
    };
    let response = against(serve, client).await;
    assert_eq!((response.status, response.body.len()), (413, size));
    assert_eq!(response.body, page);
}

#[tokio::test]
async fn an_answer_sent_before_the_request_was_read_counts() {
    // The larger answer arrives in several pieces.
    for size in [20, 60_000] {
        // Closes the connection with unread bytes, which resets it.
        answered_early(size, async |stream| drop(stream)).await;
        // Closes the sending side only.
        answered_early(size, async |mut stream| stream.shutdown().await.unwrap()).await;
        // Keeps the connection open without reading.
        answered_early(size, async |_stream| std::future::pending().await).await;
    }
}

#[tokio::test]
async fn an_exchange_dropped_midway_closes_its_connection_and_the_next_opens_another() {
    let (orchestrator, mut transport) = started().await;
    send(&mut *transport).await.expect("an answer");
    orchestrator.answer_always(Endpoint::Poll, Answer::Hang);
    for count in 1..4 {
        let arrived = orchestrator.wait_for_requests(Endpoint::Poll, count);
        tokio::select! {
            answer = transport.exchange(poll()) => panic!("{answer:?}"),
            _ = arrived => {}
        }
        send(&mut *transport).await.expect("an answer");
    }
    assert_eq!(connections(&orchestrator), [1, 2, 3, 4]);
    while orchestrator.open_connections() > 1 {
        tokio::task::yield_now().await;
    }
}
