//! Time limits of exchanges.

use std::time::Duration;

use bytes::Bytes;
use rxon::transport::{Operation, Request};
use rxon::{ErrorKind, ExchangeProgress};
use testkit::{Answer, Endpoint, ScriptedOrchestrator, Stopwatch};
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
        assert_eq!(error.progress(), ExchangeProgress { written: true, reused, answered: false });
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
        ExchangeProgress { written: true, reused: true, answered: true },
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
