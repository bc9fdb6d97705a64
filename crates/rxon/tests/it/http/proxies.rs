//! Forward proxies.

use std::io::Write as _;

use rxon::{ErrorKind, ExchangeProgress};
use tempfile::NamedTempFile;
use testkit::{Endpoint, Proxy, Script, ScriptedOrchestrator, Tls};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{against, read_head};
use crate::client::{Client, fail, send};

/// `user:p@ss` as in an address, and as in a header.
const CREDENTIALS: (&str, &str) = ("user:p%40ss", "Basic dXNlcjpwQHNz");

fn with_credentials(proxy: &Proxy) -> String {
    format!("http://{}@{}", CREDENTIALS.0, proxy.addr())
}

async fn secure() -> (ScriptedOrchestrator, NamedTempFile) {
    let tls = Tls::new();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(tls.ca_pem().as_bytes()).unwrap();
    (ScriptedOrchestrator::start_with(Script::newer().tls(tls.server_config())).await, file)
}

#[tokio::test]
async fn a_plain_request_is_forwarded_by_its_whole_address() {
    let (orchestrator, proxy) = (ScriptedOrchestrator::start().await, Proxy::start().await);
    let url = format!("{}/prefix", orchestrator.url());
    let mut transport = Client::at(&url).through(&[("HTTP_PROXY", &proxy.url())]).transport();
    for _ in 0..2 {
        assert_eq!(send(&mut *transport).await.expect("an answer").status, 200);
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 2, "the proxy closes after every answer: {seen:?}");
    for request in &seen {
        assert_eq!(
            (request.method.as_str(), &request.target),
            ("POST", &format!("{url}/_worker/tasks/result"))
        );
        assert_eq!(request.header("host"), Some(orchestrator.addr().to_string().as_str()));
        assert_eq!(request.header("proxy-authorization"), None);
    }
    assert_eq!(orchestrator.requests(Endpoint::Result)[0].path, "/prefix/_worker/tasks/result");
}

#[tokio::test]
async fn a_secure_request_goes_through_a_tunnel_that_is_used_again() {
    let ((orchestrator, ca), proxy) = (secure().await, Proxy::start().await);
    let client = Client::of(&orchestrator).trusting(ca.path()).through(&[("https_proxy", &proxy.url())]);
    let mut transport = client.transport();
    for _ in 0..3 {
        assert_eq!(send(&mut *transport).await.expect("an answer").status, 200);
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].method.as_str(), &seen[0].target), ("CONNECT", &orchestrator.addr().to_string()));
    assert_eq!(seen[0].header("host"), Some(orchestrator.addr().to_string().as_str()));
    assert_eq!(seen[0].header("x-worker-token"), None, "the proxy must not see the token");
    assert_eq!(orchestrator.requests(Endpoint::Result)[0].path, "/_worker/tasks/result");
    proxy.drop_connections();
    while orchestrator.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&mut *transport).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn credentials_go_to_the_proxy_and_no_further() {
    let proxy = Proxy::requiring(CREDENTIALS.1).await;
    let plain = ScriptedOrchestrator::start().await;
    let client = Client::of(&plain).through(&[("HTTP_PROXY", &with_credentials(&proxy))]);
    assert_eq!(send(&mut *client.transport()).await.expect("an answer").status, 200);
    let (secure, ca) = secure().await;
    let client =
        Client::of(&secure).trusting(ca.path()).through(&[("HTTPS_PROXY", &with_credentials(&proxy))]);
    assert_eq!(send(&mut *client.transport()).await.expect("an answer").status, 200);
    for orchestrator in [&plain, &secure] {
        let seen = &orchestrator.requests(Endpoint::Result)[0];
        assert_eq!(seen.header("proxy-authorization"), None);
        assert_eq!(seen.header("authorization"), None);
    }
    assert!(proxy.seen().iter().all(|request| request.allowed));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_the_request_is_not_sent() {
    let proxy = Proxy::requiring("Basic something-else").await;
    let plain = ScriptedOrchestrator::start().await;
    let (secure, ca) = secure().await;
    let address = with_credentials(&proxy);
    let variables = [("HTTP_PROXY", address.as_str()), ("HTTPS_PROXY", &address)];
    for client in
        [Client::of(&plain).through(&variables), Client::of(&secure).trusting(ca.path()).through(&variables)]
    {
        let error = fail(&mut *client.transport()).await;
        assert_eq!(error.kind(), ErrorKind::Proxy, "{error:?}");
        assert!(!error.progress().written && !error.is_ambiguous() && error.is_retryable(), "{error:?}");
        let text = format!("{error:?} {}", error.chain());
        assert!(text.contains(&proxy.url()) && text.contains("407"), "{text}");
        assert!(!text.contains("p%40ss") && !text.contains("p@ss") && !text.contains("dXNl"), "{text}");
    }
    assert_eq!((plain.count(Endpoint::Result), secure.count(Endpoint::Result)), (0, 0));
}

#[tokio::test]
async fn an_unreachable_orchestrator_and_an_unreachable_proxy_are_told_apart() {
    let proxy = Proxy::start().await;
    let (secure, ca) = secure().await;
    secure.stop().await;
    let client = Client::of(&secure).trusting(ca.path()).through(&[("HTTPS_PROXY", &proxy.url())]);
    let error = fail(&mut *client.transport()).await;
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Proxy, ExchangeProgress::default()),
        "{error:?}"
    );
    assert!(error.to_string().contains("502"), "{error}");
    let address = with_credentials(&proxy);
    proxy.stop().await;
    let client = Client::of(&secure).trusting(ca.path()).through(&[("HTTPS_PROXY", &address)]);
    let error = fail(&mut *client.transport()).await;
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Connect, ExchangeProgress::default()),
        "{error:?}"
    );
    assert!(error.to_string().contains(&format!("proxy http://{}", proxy.addr())), "{error}");
}

/// Returns the error of a proxy that answers CONNECT with these bytes and closes the connection.
async fn connecting_gives(answer: &str) -> rxon::Error {
    let serve = async |mut stream: TcpStream| {
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"), "{head}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let client = async |address| {
        let client = Client::at("https://[::1]").through(&[("HTTPS_PROXY", &format!("http://{address}"))]);
        fail(&mut *client.transport()).await
    };
    against(serve, client).await
}

#[tokio::test]
async fn a_proxy_with_an_answer_that_is_not_valid_is_an_error() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "no\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n",
        &"x".repeat(20_000),
    ] {
        let error = connecting_gives(answer).await;
        assert_eq!(
            (error.kind(), error.progress()),
            (ErrorKind::Proxy, ExchangeProgress::default()),
            "{error:?}"
        );
        assert!(error.to_string().len() < 500, "{error}");
    }
}

#[tokio::test]
async fn exceptions_are_reached_directly() {
    let (orchestrator, proxy) = (ScriptedOrchestrator::start().await, Proxy::start().await);
    for exception in ["127.0.0.1", "127.0.0.0/8", "*", "x, 127.0.0.1", &orchestrator.addr().to_string()] {
        let client =
            Client::of(&orchestrator).through(&[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", exception)]);
        assert_eq!(send(&mut *client.transport()).await.expect(exception).status, 200);
    }
    assert_eq!(proxy.seen(), []);
    let client = Client::of(&orchestrator)
        .through(&[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", "127.0.0.1:1,.0.0.1")]);
    send(&mut *client.transport()).await.expect("an answer");
    assert_eq!(proxy.seen().len(), 1);
}
