//! Checks that every transport has to pass.
//!
//! Each check takes a [`Connector`] and panics with its observation when the [contract](Transport) is broken. The checks
//! need a runtime with time, and a peer that serves any number of transports and reacts to each operation like this:
//!
//! | operation | the peer |
//! |---|---|
//! | registration | answers 200 with the body `{"status":"registered"}` |
//! | poll | answers 204 without a body |
//! | result | answers 200 with the body `{"bytes":N}`, N being the length of the request's body |
//! | token | answers 429 with the body `{"error":"not now"}` and `Retry-After: 7` |
//! | heartbeat | never answers, and keeps the connection open |
//! | event | reads the request to its end, then closes the connection without an answer |
//!
//! ```
//! # use rxon::transport::memory;
//! # use rxon::transport::Connector;
//! # async fn example(connector: impl Connector) {
//! rxon::conformance::all(&connector).await;
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::transport::{Connector, Operation, PollQuery, Request, Response, Transport};

/// A time limit far above the duration of any exchange.
const LONG: Duration = Duration::from_secs(10);

/// A time limit that suffices to write a message, and that a check can wait for.
const SHORT: Duration = Duration::from_millis(100);

/// The progress of a request without an answer, on a new connection.
const WRITTEN: ExchangeProgress =
    ExchangeProgress { written: true, reused: false, answered: false, status: None };

/// Runs all checks except [`an_unreachable_peer_is_named`], which needs a peer of its own.
pub async fn all(connector: &dyn Connector) {
    every_answer_is_a_response(connector).await;
    bodies_pass_whole(connector).await;
    a_silent_peer_is_given_up_at_the_time_limit(connector).await;
    an_abandoned_exchange_leaves_the_transport_usable(connector).await;
    a_lost_answer_tells_how_far_the_exchange_came(connector).await;
    transports_do_not_wait_for_each_other(connector).await;
}

/// Checks that an answer of any status is a [`Response`], with its body and `Retry-After`.
pub async fn every_answer_is_a_response(connector: &dyn Connector) {
    let mut transport = connector.transport();
    let registered = answer(&mut *transport, Operation::Register, Bytes::from_static(b"{}")).await;
    assert_eq!((registered.status, &registered.body[..]), (200, &br#"{"status":"registered"}"#[..]));
    let query = Arc::new(PollQuery::new(LONG, &[], &[]));
    let nothing = answer(&mut *transport, Operation::Poll(query), Bytes::new()).await;
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
    let refused = answer(&mut *transport, Operation::Token, Bytes::new()).await;
    assert_eq!((refused.status, refused.error_text().as_str()), (429, "not now"));
    assert_eq!(refused.retry_after, Some(Duration::from_secs(7)));
}

/// Checks that bodies of any size arrive complete, one after the other on the same transport.
pub async fn bodies_pass_whole(connector: &dyn Connector) {
    let mut transport = connector.transport();
    for size in [1, 1_000, 100_000, 4_000_000, 2] {
        is_answered(&mut *transport, size).await;
    }
}

/// Checks that an exchange with a silent peer fails at its time limit, neither before nor long after it, as an error that
/// is ambiguous.
pub async fn a_silent_peer_is_given_up_at_the_time_limit(connector: &dyn Connector) {
    let mut transport = connector.transport();
    let begin = Instant::now();
    let request = Request::new(Operation::Heartbeat, SHORT).with_body(Bytes::from_static(b"{}"));
    let error = failure(&mut *transport, request).await;
    let elapsed = begin.elapsed();
    assert!((SHORT..SHORT + LONG).contains(&elapsed), "given up after {elapsed:?}");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert_eq!(error.progress(), WRITTEN, "{error:?}");
    assert!(error.is_ambiguous() && error.is_retryable(), "{error:?}");
    is_answered(&mut *transport, 3).await;
}

/// Checks that an exchange dropped midway does not affect the next one, which never receives its answer.
pub async fn an_abandoned_exchange_leaves_the_transport_usable(connector: &dyn Connector) {
    let mut transport = connector.transport();
    for size in 1..4 {
        is_answered(&mut *transport, size).await;
        abandon(&mut *transport, SHORT / 4).await;
        // Before anything can be sent.
        abandon(&mut *transport, Duration::ZERO).await;
    }
    is_answered(&mut *transport, 5).await;
}

/// Checks the progress in the error of a connection that ends without an answer: whether the request was written and
/// whether the connection was reused decides whether the request may be sent again.
pub async fn a_lost_answer_tells_how_far_the_exchange_came(connector: &dyn Connector) {
    let mut transport = connector.transport();
    let event = || Request::new(Operation::Event, LONG).with_body(Bytes::from_static(b"{}"));
    for _ in 0..2 {
        // The second time too, as a failed connection is never reused.
        let error = failure(&mut *transport, event()).await;
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
        assert_eq!(error.progress(), WRITTEN, "{error:?}");
        assert!(error.is_ambiguous() && !error.is_stale_connection(), "{error:?}");
    }
    is_answered(&mut *transport, 1).await;
    let error = failure(&mut *transport, event()).await;
    assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    assert!(error.progress().reused && !error.progress().answered, "{error:?}");
    assert!(error.is_stale_connection() && !error.is_ambiguous(), "{error:?}");
    is_answered(&mut *transport, 2).await;
}

/// Checks that two transports carry two exchanges at once.
pub async fn transports_do_not_wait_for_each_other(connector: &dyn Connector) {
    let (mut silent, mut other) = (connector.transport(), connector.transport());
    let mut waiting = silent.exchange(Request::new(Operation::Heartbeat, LONG));
    assert!(timeout(SHORT / 4, &mut waiting).await.is_err(), "the peer answered a heartbeat");
    is_answered(&mut *other, 7).await;
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err(), "the peer answered a heartbeat");
}

/// Checks the error of a connector without a peer: the connection failed, and nothing was sent.
pub async fn an_unreachable_peer_is_named(connector: &dyn Connector) {
    let mut transport = connector.transport();
    for _ in 0..2 {
        let error = failure(&mut *transport, Request::new(Operation::Token, LONG)).await;
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert_eq!(error.progress(), ExchangeProgress::default(), "{error:?}");
        assert!(error.is_retryable() && !error.is_ambiguous(), "{error:?}");
    }
}

async fn answer(transport: &mut dyn Transport, operation: Operation, body: Bytes) -> Response {
    let name = operation.name();
    match transport.exchange(Request::new(operation, LONG).with_body(body)).await {
        Ok(response) => response,
        Err(error) => panic!("the {name} was not answered: {}", error.chain()),
    }
}

/// Sends a result, and checks that the answer belongs to it.
async fn is_answered(transport: &mut dyn Transport, size: usize) {
    let response = answer(transport, Operation::Result, vec![b' '; size].into()).await;
    assert_eq!(response.status, 200, "{}", response.excerpt());
    assert_eq!(
        response.excerpt(),
        format!(r#"{{"bytes":{size}}}"#),
        "the answer to a result of {size} bytes"
    );
}

async fn failure(transport: &mut dyn Transport, request: Request) -> Error {
    let name = request.operation.name();
    match transport.exchange(request).await {
        Ok(response) => panic!("the {name} was answered with {}", response.status),
        Err(error) => error,
    }
}

async fn abandon(transport: &mut dyn Transport, after: Duration) {
    let exchange = transport.exchange(Request::new(Operation::Heartbeat, LONG));
    assert!(timeout(after, exchange).await.is_err(), "the peer answered a heartbeat");
}
