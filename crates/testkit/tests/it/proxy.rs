//! The forward proxy.

use testkit::{Endpoint, Proxy, Script, ScriptedOrchestrator};

use crate::client::Client;

#[tokio::test]
async fn a_tunnel_leads_to_the_target() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let proxy = Proxy::start().await;
    let mut client = Client::connect(proxy.addr()).await;
    let target = orchestrator.addr();
    client.send(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 200);
    assert_eq!(client.register("w1").await.status, 200);
    assert_eq!(client.heartbeat("w1", "").await.status, 200);
    let seen = proxy.seen();
    assert_eq!(
        (seen.len(), seen[0].method.as_str(), seen[0].target.as_str()),
        (1, "CONNECT", &*target.to_string())
    );
    proxy.drop_connections();
    assert_eq!(client.rest().await.unwrap(), b"");
}

#[tokio::test]
async fn absolute_urls_are_forwarded_without_what_was_for_the_proxy() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let proxy = Proxy::requiring("Basic dTpw").await;
    let url = format!("{}/_worker/workers/register", orchestrator.url());
    let body = "{\"worker_id\":\"w1\"}";
    let request = |authorization: &str| {
        format!(
            "POST {url} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut client = Client::connect(proxy.addr()).await;
    client.send(&request("")).await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 407);
    let mut client = Client::connect(proxy.addr()).await;
    client.send(&request("Proxy-Authorization: Basic dTpw\r\n")).await.unwrap();
    let answer = client.response().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(client.rest().await.unwrap(), b"");
    assert_eq!(proxy.seen().iter().map(|request| request.allowed).collect::<Vec<_>>(), [false, true]);
    let arrived = &orchestrator.requests(Endpoint::Register)[0];
    assert_eq!(arrived.path, "/_worker/workers/register");
    assert_eq!(arrived.header("proxy-authorization"), None);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it() {
    let script = Script::newer().hold(std::time::Duration::from_secs(60));
    let orchestrator = ScriptedOrchestrator::start_with(script).await;
    let proxy = Proxy::start().await;
    let mut client = Client::connect(proxy.addr()).await;
    let url = format!("{}/_worker/workers/w1/tasks/next", orchestrator.url());
    client.send_request("GET", &url, "").await.unwrap();
    orchestrator.wait_for_open_polls(1).await;
    drop(client);
    orchestrator.wait_for_no_open_poll().await;
}

#[tokio::test]
async fn an_unreachable_target_is_a_bad_gateway() {
    let orchestrator = ScriptedOrchestrator::start().await;
    orchestrator.refuse().await;
    let proxy = Proxy::start().await;
    let mut client = Client::connect(proxy.addr()).await;
    client.send(&format!("CONNECT {} HTTP/1.1\r\n\r\n", orchestrator.addr())).await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 502);
}
