//! What every transport has to pass, whoever wrote it.
//!
//! Each check takes a [`Connector`] and panics, naming what it saw, where the [contract](Transport) is not kept.
//! They need a runtime with time, and a peer that reacts to each operation like this, to as many transports as come:
//!
//! | operation | the peer |
//! |---|---|
//! | registration | answers 200 with the body `{"status":"registered"}` |
//! | poll | answers 204 without a body |
//! | result | answers 200 with the body `{"bytes":N}`, N being the length of the request's body |
//! | token | answers 429 with the body `{"error":"not now"}`, and says to come back after 7 seconds |
//! | heartbeat | never answers, and stays connected |
//! | event | takes it whole, then closes the connection without an answer |
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

use crate::transport::{Connector, Operation, PollQuery, Request, Response, Transport};
use crate::{Error, ErrorKind, Progress};

/// Far more than any exchange here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Long enough for a message to be on its way, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(100);

/// Runs every check but [`an_unreachable_peer_is_named`], which needs a peer of its own.
pub async fn all(connector: &dyn Connector) {
    every_answer_is_a_response(connector).await;
    bodies_pass_whole(connector).await;
    a_silent_peer_is_given_up_at_the_time_limit(connector).await;
    an_abandoned_exchange_leaves_the_transport_usable(connector).await;
    a_lost_answer_tells_how_far_the_exchange_came(connector).await;
    transports_do_not_wait_for_each_other(connector).await;
}

/// An answer is a [`Response`] whatever its status, with its body and with what it says of coming back.
pub async fn every_answer_is_a_response(connector: &dyn Connector) {
    let mut transport = connector.transport();
    let registered = answer(&mut *transport, Operation::Register, Bytes::from_static(b"{}")).await;
    assert_eq!((registered.status, &registered.body[..]), (200, &br#"{"status":"registered"}"#[..]));
    let query = Arc::new(PollQuery::new(PATIENCE, &[], &[]));
    let nothing = answer(&mut *transport, Operation::Poll(query), Bytes::new()).await;
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
    let refused = answer(&mut *transport, Operation::Token, Bytes::new()).await;
    assert_eq!((refused.status, refused.error_text().as_str()), (429, "not now"));
    assert_eq!(refused.retry_after, Some(Duration::from_secs(7)));
}

/// Bodies of any size arrive whole, one after the other on the same transport.
pub async fn bodies_pass_whole(connector: &dyn Connector) {
    let mut transport = connector.transport();
    for size in [1, 1_000, 100_000, 4_000_000, 2] {
        is_answered(&mut *transport, size).await;
    }
}

/// A peer that says nothing is given up at the limit, neither before nor long after it. It may have done what it was
/// asked to.
pub async fn a_silent_peer_is_given_up_at_the_time_limit(connector: &dyn Connector) {
    let mut transport = connector.transport();
    let begin = Instant::now();
    let request = Request::new(Operation::Heartbeat, SHORT).with_body(Bytes::from_static(b"{}"));
    let error = failure(&mut *transport, request).await;
    let elapsed = begin.elapsed();
    assert!((SHORT..SHORT + PATIENCE).contains(&elapsed), "given up after {elapsed:?}");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert_eq!(error.progress(), Progress { written: true, ..Progress::default() }, "{error:?}");
    assert!(error.is_ambiguous() && error.is_retryable(), "{error:?}");
    is_answered(&mut *transport, 3).await;
}

/// An exchange that is dropped midway does not show in the next one: its answer is never taken for another's.
pub async fn an_abandoned_exchange_leaves_the_transport_usable(connector: &dyn Connector) {
    let mut transport = connector.transport();
    for size in 1..4 {
        is_answered(&mut *transport, size).await;
        abandon(&mut *transport, SHORT / 4).await;
        // Before anything could be sent.
        abandon(&mut *transport, Duration::ZERO).await;
    }
    is_answered(&mut *transport, 5).await;
}

/// A connection that ends instead of an answer: whether the request was written, and whether the connection had
/// carried one before, decides what may be sent again.
pub async fn a_lost_answer_tells_how_far_the_exchange_came(connector: &dyn Connector) {
    let mut transport = connector.transport();
    let event = || Request::new(Operation::Event, PATIENCE).with_body(Bytes::from_static(b"{}"));
    for _ in 0..2 {
        // The second time too: a connection that has failed is not one that is used again.
        let error = failure(&mut *transport, event()).await;
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
        assert_eq!(error.progress(), Progress { written: true, ..Progress::default() }, "{error:?}");
        assert!(error.is_ambiguous() && !error.is_stale_connection(), "{error:?}");
    }
    is_answered(&mut *transport, 1).await;
    let error = failure(&mut *transport, event()).await;
    assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    assert!(error.progress().reused && !error.progress().answered, "{error:?}");
    assert!(error.is_stale_connection() && !error.is_ambiguous(), "{error:?}");
    is_answered(&mut *transport, 2).await;
}

/// Who wants two exchanges at once holds two transports.
pub async fn transports_do_not_wait_for_each_other(connector: &dyn Connector) {
    let (mut silent, mut other) = (connector.transport(), connector.transport());
    let mut waiting = silent.exchange(Request::new(Operation::Heartbeat, PATIENCE));
    assert!(timeout(SHORT / 4, &mut waiting).await.is_err(), "the peer answered a heartbeat");
    is_answered(&mut *other, 7).await;
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err(), "the peer answered a heartbeat");
}

/// Where there is no peer, nothing was sent. For a connector whose peer is gone.
pub async fn an_unreachable_peer_is_named(connector: &dyn Connector) {
    let mut transport = connector.transport();
    for _ in 0..2 {
        let error = failure(&mut *transport, Request::new(Operation::Token, PATIENCE)).await;
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert_eq!(error.progress(), Progress::default(), "{error:?}");
        assert!(error.is_retryable() && !error.is_ambiguous(), "{error:?}");
    }
}

async fn answer(transport: &mut dyn Transport, operation: Operation, body: Bytes) -> Response {
    let name = operation.name();
    match transport.exchange(Request::new(operation, PATIENCE).with_body(body)).await {
        Ok(response) => response,
        Err(error) => panic!("the {name} was not answered: {}", error.chain()),
    }
}

/// Sends a result, and looks whether the answer is that result's.
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
    let exchange = transport.exchange(Request::new(Operation::Heartbeat, PATIENCE));
    assert!(timeout(after, exchange).await.is_err(), "the peer answered a heartbeat");
}
