//! Connections that fail.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rxon::transport::http::CONNECT_TIME_LIMIT;
use rxon::{ErrorKind, ExchangeProgress};
use testkit::{Endpoint, ScriptedOrchestrator};

use crate::client::{Client, fail, send};

#[tokio::test]
async fn a_refused_connection_wrote_nothing_and_the_next_try_works() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut transport = Client::of(&orchestrator).transport();
    send(&mut *transport).await.expect("an answer");
    orchestrator.refuse().await;
    orchestrator.drop_connections();
    while orchestrator.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    let error = fail(&mut *transport).await;
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Connect, ExchangeProgress::default()),
        "{error:?}"
    );
    assert!(error.is_retryable() && !error.is_ambiguous() && !error.is_stale_connection());
    let text = error.chain().to_string();
    assert!(text.starts_with(&format!("could not connect: {}: ", orchestrator.url())), "{text}");
    assert!(text.to_lowercase().contains("connection refused"), "{text}");
    orchestrator.accept().await;
    send(&mut *transport).await.expect("an answer");
    assert_eq!(orchestrator.count(Endpoint::Result), 2);
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    // Longer than any valid name, so that no name server is asked.
    let url = format!("http://{}:1", "a".repeat(64));
    let error = fail(&mut *Client::at(&url).transport()).await;
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Connect, ExchangeProgress::default()),
        "{error:?}"
    );
    assert!(error.to_string().contains(&url), "{error}");
}

/// Creates a listener with a full backlog, so that the next connection gets no answer.
fn full() -> (SocketAddr, impl Drop) {
    struct Full {
        _listener: TcpListener,
        _waiting: Vec<TcpStream>,
    }
    impl Drop for Full {
        fn drop(&mut self) {}
    }
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let waiting =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok());
    let waiting = waiting.collect();
    (address, Full { _listener: listener, _waiting: waiting })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_no_connection_is_given_up_after_five_seconds() {
    let (address, _full) = full();
    let begin = tokio::time::Instant::now();
    let error = fail(&mut *Client::at(&format!("http://{address}")).transport()).await;
    let elapsed = begin.elapsed();
    assert!(
        (CONNECT_TIME_LIMIT..CONNECT_TIME_LIMIT + Duration::from_millis(100)).contains(&elapsed),
        "{elapsed:?}"
    );
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Connect, ExchangeProgress::default()),
        "{error:?}"
    );
    assert!(error.chain().to_string().contains("5s"), "{}", error.chain());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_in_the_tls_handshake_is_given_up_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let begin = tokio::time::Instant::now();
    let error = fail(&mut *Client::at(&format!("https://{address}")).transport()).await;
    assert!(begin.elapsed() >= CONNECT_TIME_LIMIT, "{:?}", begin.elapsed());
    assert_eq!(
        (error.kind(), error.progress()),
        (ErrorKind::Connect, ExchangeProgress::default()),
        "{error:?}"
    );
}
