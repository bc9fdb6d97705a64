//! The proxy that lets things go wrong, before a server that says what it was sent.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::{Endpoint, Fault, FaultProxy, Rule, ScriptedOrchestrator};

use crate::client::Client;

/// A registration's body, and an answer's, are a few hundred bytes: enough to cut.
async fn started() -> (ScriptedOrchestrator, FaultProxy) {
    let orchestrator = ScriptedOrchestrator::start().await;
    let proxy = FaultProxy::start(orchestrator.addr()).await;
    (orchestrator, proxy)
}

#[tokio::test]
async fn everything_passes_as_it_is_without_rules() {
    let (orchestrator, proxy) = started().await;
    let mut client = Client::connect(proxy.addr()).await;
    assert_eq!(client.register("w1").await.status, 200);
    assert_eq!(client.heartbeat("w1", "{}").await.status, 200);
    let arrived = &orchestrator.requests(Endpoint::Register)[0];
    assert_eq!(arrived.header("host"), Some("test"), "signatures depend on it");
    let passed = proxy.passed();
    assert_eq!((passed.len(), passed[0].method.as_str(), passed[0].status), (2, "POST", Some(200)));
    assert_eq!((passed[0].length, passed[0].faulty), (18, false));
    assert!(passed[0].received > 0);
    assert_eq!((proxy.count("PATCH", "/w1"), proxy.most_at_once()), (1, 1));
}

#[tokio::test]
async fn an_answer_in_its_place_is_not_heard_of_by_the_server() {
    let (orchestrator, proxy) = started().await;
    proxy.add(Rule::new(Fault::slow_down()).method("POST").containing("/register").after(1).once());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(proxy.addr()).await;
        let answer = client.register("w1").await;
        let is_xml = answer.body.windows(8).any(|text| text == b"SlowDown");
        statuses.push((answer.status, is_xml));
    }
    assert_eq!(statuses, [(200, false), (503, true), (200, false)]);
    assert_eq!(orchestrator.requests(Endpoint::Register).len(), 2);
    assert_eq!(proxy.passed().iter().map(|passed| passed.faulty).collect::<Vec<_>>(), [false, true, false]);
}

#[tokio::test]
async fn connections_are_cut_where_it_is_said() {
    let (orchestrator, proxy) = started().await;
    for (fault, heard) in
        [(Fault::CutAnswer(3), true), (Fault::LoseAnswer, true), (Fault::CutRequest(3), false)]
    {
        proxy.clear();
        proxy.add(Rule::new(fault.clone()));
        let before = orchestrator.requests(Endpoint::Register).len();
        let mut client = Client::connect(proxy.addr()).await;
        let error = client.request("POST", "/_worker/workers/register", "{\"worker_id\":\"w1\"}").await;
        let kind = error.expect_err("it is cut").kind();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{fault:?}: {kind}");
        if heard {
            orchestrator.wait_for_requests(Endpoint::Register, before + 1).await;
        } else {
            assert_eq!(orchestrator.requests(Endpoint::Register).len(), before, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_hanging_request_and_a_stalled_answer_never_end() {
    let (_orchestrator, proxy) = started().await;
    for fault in [Fault::Hang, Fault::Stall(2)] {
        proxy.clear();
        proxy.add(Rule::new(fault.clone()));
        let mut client = Client::connect(proxy.addr()).await;
        let waiting = client.request("POST", "/_worker/workers/register", "{\"worker_id\":\"w1\"}");
        let ended = tokio::time::timeout(Duration::from_millis(200), waiting).await;
        assert!(ended.is_err(), "{fault:?}: {ended:?}");
    }
    proxy.wait_for("POST", "register", 2).await;
}

#[tokio::test]
async fn answers_are_changed() {
    let (_orchestrator, proxy) = started().await;
    proxy.add(Rule::new(Fault::Header("etag", Some("\"other\"".to_owned()))).once());
    proxy.add(
        Rule::new(Fault::body(|mut body| {
            body.reverse();
            body.push(b'!');
            body
        }))
        .once(),
    );
    let address: SocketAddr = proxy.addr();
    let mut client = Client::connect(address).await;
    let changed = client.register("w1").await;
    assert_eq!(changed.header("etag"), Some("\"other\""));
    let rewritten = client.register("w1").await;
    let expected: Vec<u8> = changed.body.iter().rev().copied().chain(*b"!").collect();
    assert_eq!(rewritten.body, expected);
    assert_eq!(client.register("w1").await.body, changed.body, "the connection is still good");
}

#[tokio::test]
async fn a_trickle_takes_its_time() {
    let (_orchestrator, proxy) = started().await;
    let mut client = Client::connect(proxy.addr()).await;
    let length = client.register("w1").await.body.len();
    proxy.add(Rule::new(Fault::Trickle { bytes: length.div_ceil(4), pause: Duration::from_millis(20) }));
    let start = Instant::now();
    assert_eq!(client.register("w1").await.body.len(), length);
    assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_held_request_waits_until_it_is_released() {
    let (orchestrator, proxy) = started().await;
    proxy.add(Rule::new(Fault::Hold).once());
    let mut client = Client::connect(proxy.addr()).await;
    let releasing = async {
        proxy.wait_for_faults(1).await;
        assert_eq!(orchestrator.requests(Endpoint::Register).len(), 0);
        proxy.release();
    };
    let (answer, ()) = tokio::join!(client.register("w1"), releasing);
    assert_eq!(answer.status, 200);
}
