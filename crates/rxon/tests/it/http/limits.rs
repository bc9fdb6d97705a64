//! Time limits of exchanges.

use std::time::Duration;

use bytes::Bytes;
use rxon::transport::{Operation, Request};
use rxon::{ErrorKind, ExchangeProgress};
use testkit::{Answer, Endpoint, ScriptedOrchestrator, Stopwatch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{LARGE, against, read_head};
use crate::client::{Client, send};

/// A time limit that suffices for a request over loopback, and that a test can wait for.
const LIMIT: Duration = Duration::from_millis(150);

fn result(size: usize) -> Request {
    Request::new(Operation::Result, LIMIT).with_body(vec![b' '; size].into())
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_limit() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    for reused in [false, true] {
        orchestrator.answer_next(Endpoint::Result, Answer::Hang);
        let begin = Stopwatch::start();
        let error = transport.exchange(result(3)).await.expect_err("it is silent");
        let took = begin.took();
        assert!(took.is_within(LIMIT..LIMIT * 20), "{took:?}");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert_eq!(
            error.progress(),
            ExchangeProgress { written: true, reused, ..ExchangeProgress::default() }
        );
        assert!(error.is_ambiguous(), "the server may be working on the request: {error:?}");
        assert_eq!(error.to_string(), "no answer within the time limit: 150ms");
        send(&mut *transport).await.expect("the transport is usable after an error");
    }
    assert_eq!(
        orchestrator.connections_accepted(),
        3,
        "a connection with an unfinished answer is not reused"
    );
}

#[tokio::test]
async fn a_late_answer_is_never_returned_for_the_next_request() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    let gate = CancellationToken::new();
    orchestrator.answer_next(Endpoint::Result, Answer::status(500).once_cancelled(&gate));
    transport.exchange(result(3)).await.expect_err("it is held");
    gate.cancel();
    assert_eq!(send(&mut *transport).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_slow_answer_is_read_to_its_end_within_the_limit_and_not_beyond() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    let dribble = |chunk, every| {
        let body = Bytes::from_static(b"{\"status\":\"accepted\"}");
        Answer::Dribble { status: 200, body, chunk, every: Duration::from_millis(every) }
    };
    orchestrator.answer_next(Endpoint::Result, dribble(4, 5));
    assert_eq!(send(&mut *transport).await.expect("an answer").body, "{\"status\":\"accepted\"}");
    orchestrator.answer_next(Endpoint::Result, dribble(1, 50));
    let error = transport.exchange(result(3)).await.expect_err("it takes a second");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        error.progress(),
        ExchangeProgress { written: true, reused: true, answered: true, status: Some(200) },
        "{error:?}"
    );
    assert!(error.is_ambiguous());
}

#[tokio::test]
async fn a_request_that_the_server_does_not_read_is_not_written() {
    let stalls = async |mut stream: tokio::net::TcpStream| {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    };
    let client = async |address| {
        let mut transport = Client::at(&format!("http://{address}")).transport();
        transport.exchange(result(LARGE)).await.expect_err("the server does not read it")
    };
    let error = against(stalls, client).await;
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Timeout, ExchangeProgress::default()),
        "{error:?}"
    );
    assert!(!error.is_ambiguous(), "half a request is not processed");
}

#[tokio::test]
async fn the_maximal_limit_means_no_limit() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    let request = Request::new(Operation::Result, Duration::MAX).with_body("{}".into());
    assert_eq!(transport.exchange(request).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_waiting_exchange_is_not_woken_needlessly() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    let slowly = Answer::Dribble {
        status: 200,
        body: Bytes::from_static(b"{\"status\":\"accepted\"}"),
        chunk: 11,
        every: LIMIT / 4,
    };
    for (answer, most) in [(Answer::Normally.after(LIMIT), 20), (slowly, 30)] {
        orchestrator.answer_next(Endpoint::Result, answer);
        let mut exchange = std::pin::pin!(send(&mut *transport));
        let mut moves = 0;
        let counted = std::future::poll_fn(|context| {
            moves += 1;
            exchange.as_mut().poll(context)
        });
        assert_eq!(counted.await.expect("an answer").status, 200);
        assert!(moves <= most, "it was woken {moves} times");
    }
}

/// A listener whose connections have small receive buffers.
fn narrow() -> (std::net::SocketAddr, tokio::net::TcpListener) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a size");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(8).expect("a free port");
    (listener.local_addr().expect("an address"), listener)
}

/// The longest time without a byte moving: a slow machine may need some of it.
const IDLE: Duration = Duration::from_millis(600);

/// A megabyte as a result, within limits that only standing still can reach.
fn slow_result() -> Request {
    Request::new(Operation::Result, Duration::MAX).with_idle_limit(IDLE).with_body(vec![b' '; 1 << 20].into())
}

#[tokio::test]
async fn a_slow_line_is_no_failure() {
    let (address, listener) = narrow();
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        let mut left = 1 << 20;
        while left > 0 {
            tokio::time::sleep(Duration::from_millis(12)).await;
            left -= stream.read(&mut [0; 10 << 10]).await.expect("more of the body");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a client");
    };
    let begin = Stopwatch::start();
    let mut transport = Client::at(&format!("http://{address}")).transport();
    let (answer, ()) = tokio::join!(transport.exchange(slow_result()), server);
    assert_eq!(answer.expect("an answer").status, 200);
    assert!(begin.took().is_at_least(2 * IDLE), "it was too fast to show anything: {:?}", begin.took());
}

#[tokio::test]
async fn a_line_that_stands_still_is_given_up_and_what_was_not_sent_never_arrives() {
    let (address, listener) = narrow();
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        let gone = stream.ready(tokio::io::Interest::ERROR).await;
        assert!(gone.is_ok(), "{gone:?}");
        let mut read = 0;
        loop {
            match stream.read(&mut [0; 16 << 10]).await {
                Ok(0) => panic!("the rest was sent after all: {read}"),
                Ok(length) => read += length,
                Err(error) => return (read, error.kind()),
            }
        }
    };
    let mut transport = Client::at(&format!("http://{address}")).transport();
    let (answer, (read, error)) = tokio::join!(transport.exchange(slow_result()), server);
    let given_up = answer.expect_err("nothing moves");
    assert_eq!(given_up.kind(), ErrorKind::Timeout);
    assert_eq!(given_up.to_string(), "no answer within the time limit: 600ms without a byte moving");
    assert!(read < 1 << 20, "{read}");
    assert_eq!(error, std::io::ErrorKind::ConnectionReset);
}
