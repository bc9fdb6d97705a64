//! The health server: `/health`, `/ready` and `/metrics`.

mod condition;
pub(crate) mod metrics;
pub(crate) mod watchdog;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rxon::descriptors::NotInherited;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::metrics::Metrics;
use self::watchdog::RuntimeWatchdog;
use crate::capacity::Offer;
use crate::execution::running::Running;
use crate::session::Session;

/// A client must send its request within this time, or its connection is closed.
const HEADER_TIME_LIMIT: Duration = Duration::from_secs(10);

/// The number of connections that may be open; further ones wait until one ends.
const MAX_CONNECTIONS: usize = 64;

/// The parts of the worker that the health server shows.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) offer: Arc<Offer>,
    pub(crate) sessions: Vec<Arc<Session>>,
    pub(crate) watchdog: Arc<RuntimeWatchdog>,
    pub(crate) metrics: Metrics,
}

impl Health {
    /// Watches the data path until the worker closes, and gives open polls the time back in which the process did not run.
    pub(crate) async fn watch(self: Arc<Self>, running: Arc<Running>, closing: CancellationToken) {
        let on_lost = |lost| self.sessions.iter().for_each(|session| session.open_polls.postpone(lost));
        self.watchdog.watch(running, on_lost, closing).await;
    }
}

/// Takes the port before the worker starts, so that a port in use is an error at start.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until the worker closes.
pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>, closing: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the health server cannot be started");
            return;
        }
    };
    // Dropped before the listener.
    let _not_inherited = NotInherited::new(&listener);
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health server listens");
    }
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the health server failed");
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (health, closing) = (health.clone(), closing.clone());
        connections.spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| {
                let response = answer(&request, &health);
                async move { Ok::<_, Infallible>(response) }
            });
            let not_inherited = NotInherited::new(&stream);
            let mut connection = pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIME_LIMIT)
                    .serve_connection(TokioIo::new(stream), service)
            );
            // Dropped before the connection.
            let _not_inherited = not_inherited;
            tokio::select! {
                result = &mut connection => if let Err(error) = result {
                    tracing::debug!(%error, "a connection to the health server ended");
                },
                () = closing.cancelled() => {}
            }
        });
    }
    connections.close();
    connections.wait().await;
}

fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET".to_owned());
    }
    let ok_if = |fine| if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match request.uri().path() {
        "/health" => {
            let fault = condition::fault(health);
            respond(ok_if(fault.is_none()), TEXT, fault.unwrap_or_else(|| "OK".to_owned()))
        }
        "/ready" => {
            let (ready, body) = condition::readiness(health);
            respond(ok_if(ready), "application/json", body.to_string())
        }
        "/metrics" => {
            let blocked = health.watchdog.blocked().unwrap_or_default();
            let text = health.metrics.text(&health.offer, &health.sessions, blocked);
            respond(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
        }
        _ => respond(StatusCode::NOT_FOUND, TEXT, "not found: try /health, /ready or /metrics".to_owned()),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn no_forked_process_has_a_connection_that_is_open() {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (health, closing) = (Arc::new(condition::tests::idle_health()), CancellationToken::new());
        let asking = async {
            let registered = || rxon::descriptors::not_inherited().len();
            let ask = async || {
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                stream.write_all(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("written");
                assert!(stream.read(&mut [0; 100]).await.expect("an answer") > 0);
                stream
            };
            let (first, alone) = (ask().await, registered());
            let second = ask().await;
            assert_eq!(registered(), alone + 1);
            drop((first, second));
            while registered() > alone - 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            closing.cancel();
        };
        tokio::join!(serve(listener, health, closing.clone()), asking);
    }
}
