use std::time::Duration;

use rxon::model::Generation;
use rxon::signing::Signer;
use rxon::transport::memory::{self, Incoming};
use rxon::transport::{PollQuery, Response};
use rxon::{ExchangeProgress, WorkerId};
use serde_json::{Value, json};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn seal(token: &str) -> Seal {
    Seal::new(WorkerId::new("w").expect("an identifier"), token)
}

/// A cluster of two addresses with tokens `a` and `b`, and the peers that answer there.
fn cluster() -> (Cluster, [memory::Peer; 2]) {
    let address = |token: &'static str| {
        let (connector, peer) = memory::pair();
        let name = format!("http://{token}").into();
        (ClusterAddress { name, connector: Arc::new(connector), seal: seal(token), weight: 1 }, peer)
    };
    let ((one, first), (other, second)) = (address("a"), address("b"));
    (Cluster::new("c".into(), vec![one, other], false), [first, second])
}

fn request(operation: Operation) -> Request {
    let body = seal("a").message(&json!({"x": 1}), &[], Generation::Newer).expect("sealed");
    Request::new(operation, LIMIT).with_body(body)
}

fn assert_sealed_with(token: &str, incoming: &Incoming) -> Value {
    let body: Value = serde_json::from_slice(&incoming.request.body).expect("JSON");
    let signature = body["security"]["signature"].as_str().expect("a signature");
    assert!(Signer::new(token).verify(&incoming.request.body, &[], signature), "not sealed with {token}");
    body
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_goes_to_the_next_address_sealed_anew_with_its_token_and_stays_there() {
    let (cluster, [mut first, mut second]) = cluster();
    let mut transport = cluster.transport();
    let exchange = transport.exchange(request(Operation::Heartbeat));
    let answers = async {
        let incoming = first.next().await.expect("a request");
        let nonce = assert_sealed_with("a", &incoming)["nonce"].clone();
        // Dropped: written, and not answered.
        drop(incoming);
        let incoming = second.next().await.expect("a request");
        assert_ne!(assert_sealed_with("b", &incoming)["nonce"], nonce);
        incoming.answer(Ok(Response::new(200, "{}")));
    };
    let (response, ()) = tokio::join!(exchange, answers);
    assert_eq!(response.expect("an answer").status, 200);
    // All transports of the cluster avoid the first one now; the result is sealed with the token of the second.
    let mut other = cluster.transport();
    let exchange = other.exchange(request(Operation::Result));
    let answers = async {
        let incoming = second.next().await.expect("a request");
        assert_sealed_with("b", &incoming);
        incoming.answer(Ok(Response::new(200, "{}")));
    };
    assert!(tokio::join!(exchange, answers).0.is_ok());
}

/// What may have been done is left to the caller, who knows whether it can be repeated.
#[tokio::test(start_paused = true)]
async fn a_result_that_was_written_is_not_repeated_and_the_next_try_goes_elsewhere() {
    let (cluster, [mut first, mut second]) = cluster();
    let mut transport = cluster.transport();
    let exchange = transport.exchange(request(Operation::Result));
    let (result, ()) = tokio::join!(exchange, async { drop(first.next().await) });
    assert!(result.is_err_and(|error| error.progress().written));
    let exchange = transport.exchange(request(Operation::Result));
    let answers = async { second.next().await.expect("a request").answer(Ok(Response::new(200, "{}"))) };
    assert!(tokio::join!(exchange, answers).0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_goes_elsewhere_at_once_and_a_dead_cluster_says_why() {
    let (cluster, [first, mut second]) = cluster();
    drop(first);
    let mut transport = cluster.transport();
    let poll = || Request::new(Operation::Poll(Arc::new(PollQuery::new(LIMIT, &[], &[]))), LIMIT);
    let exchange = transport.exchange(poll());
    let answers = async { second.next().await.expect("a request").answer(Ok(Response::new(204, ""))) };
    assert_eq!(tokio::join!(exchange, answers).0.expect("an answer").status, 204);
    drop(second);
    let error = transport.exchange(poll()).await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Connect);
}

#[tokio::test(start_paused = true)]
async fn answers_are_answers_and_a_held_poll_is_no_failure() {
    let (cluster, [mut first, _second]) = cluster();
    let mut transport = cluster.transport();
    for status in [200, 404, 401, 429, 500, 504] {
        let exchange = transport.exchange(request(Operation::Heartbeat));
        let answers =
            async { first.next().await.expect("a request").answer(Ok(Response::new(status, "{}"))) };
        assert_eq!(tokio::join!(exchange, answers).0.expect("an answer").status, status);
    }
    let poll = Request::new(Operation::Poll(Arc::new(PollQuery::new(LIMIT, &[], &[]))), LIMIT);
    let held = async {
        let _held = first.next().await;
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = transport.exchange(poll) => result,
        () = held => unreachable!("it is held"),
    };
    assert_eq!(result.expect_err("the time is over").kind(), ErrorKind::Timeout);
    assert_eq!(lock(&cluster.0.choice).order(false, Instant::now()), [0, 1]);
}

/// A gateway whose instance is gone, or a captive portal.
#[tokio::test(start_paused = true)]
async fn an_address_where_another_server_answers_is_left() {
    const PAGE: &str = "<html>";
    for (operation, status, again) in [
        (Operation::Register, 404, true),
        (Operation::Heartbeat, 200, true),
        // The next try goes elsewhere.
        (Operation::Result, 200, false),
    ] {
        let (cluster, [mut first, mut second]) = cluster();
        let mut transport = cluster.transport();
        let exchange = transport.exchange(request(operation.clone()));
        let answers = async {
            first.next().await.expect("a request").answer(Ok(Response::new(status, PAGE)));
            if again {
                second.next().await.expect("a request").answer(Ok(Response::new(200, "{}")));
            }
        };
        let response = tokio::join!(exchange, answers).0.expect("an answer");
        assert_eq!((response.status, &*response.body == b"{}"), (if again { 200 } else { status }, again));
        assert_eq!(lock(&cluster.0.choice).order(false, Instant::now())[0], 1, "{operation:?}");
    }
    // A task with a number that JSON lacks is a task.
    let (cluster, [mut first, _second]) = cluster();
    let mut transport = cluster.transport();
    let poll = Request::new(Operation::Poll(Arc::new(PollQuery::new(LIMIT, &[], &[]))), LIMIT);
    let exchange = transport.exchange(poll);
    let answers =
        async { first.next().await.expect("a request").answer(Ok(Response::new(200, "{\"x\":NaN}"))) };
    assert!(tokio::join!(exchange, answers).0.is_ok());
    assert_eq!(lock(&cluster.0.choice).order(false, Instant::now())[0], 0);
}

#[test]
fn a_result_that_was_accepted_before_it_was_written_whole_is_not_repeated() {
    let cut_off = |status, written| {
        let progress = ExchangeProgress { written, answered: true, status, ..ExchangeProgress::default() };
        Err(Error::new(ErrorKind::Closed, "").with_progress(progress))
    };
    for (status, written, again) in
        [(Some(200), false, false), (Some(500), false, true), (Some(500), true, false), (None, false, true)]
    {
        assert_eq!(may_repeat(&Operation::Result, &cut_off(status, written)), again, "{status:?} {written}");
        assert!(may_repeat(&Operation::Heartbeat, &cut_off(status, written)));
    }
}
