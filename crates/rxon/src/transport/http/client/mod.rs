//! A client for any HTTP/1.1 server, with bodies that are streamed both ways.
//!
//! It dials, verifies certificates and uses proxies as the transports of orchestrators do. A connection is driven from
//! within its request, and then from within the body of its answer: no task is spawned for it, and dropping either closes
//! it. After a whole answer it is kept for the next request.

mod answer;
mod connection;
mod pool;
mod request;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};

pub use self::answer::AnswerBody;
use self::connection::Connection;
use self::pool::Pool;
pub use self::request::RequestBody;
use super::address::OrchestratorUrl;
use super::dial::Dialer;
use super::http1::{Failed, Tracked};
use super::proxy::{Proxies, Proxy};
use super::rotation::Rotation;
use super::tls::{InvalidTls, TlsSettings};
use crate::error::{Error, ErrorKind, ExchangeProgress};

/// The most servers that are remembered.
const MAX_SERVERS: usize = 64;

/// The settings of an [`HttpClient`].
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The TLS settings for `https`.
    pub tls: TlsSettings,
    /// The proxies.
    pub proxies: Proxies,
    /// The value of the header `User-Agent`.
    pub user_agent: &'static str,
    /// A request, or the body of an answer, fails when no byte has moved in either direction for this time. How long it
    /// takes as a whole does not matter.
    pub standstill_limit: Duration,
    /// Called once for each change of certificate files that leaves them unusable. The previous certificates stay in use.
    pub on_unusable_files: Option<fn(&InvalidTls)>,
}

/// A client for any HTTP/1.1 server. `B` is the body of its requests. Cheap to clone.
pub struct HttpClient<B: RequestBody>(Arc<Shared<B>>);

struct Shared<B: RequestBody> {
    settings: ClientSettings,
    rotation: Rotation,
    servers: Mutex<HashMap<String, Arc<Dialer>>>,
    pool: Arc<Pool<B>>,
}

impl<B: RequestBody> Clone for HttpClient<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: RequestBody> fmt::Debug for HttpClient<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HttpClient")
    }
}

impl<B: RequestBody> HttpClient<B> {
    /// Creates a client. Reads certificates, but does not connect.
    ///
    /// # Errors
    /// Returns [`InvalidTls`] when a certificate file cannot be used.
    pub fn new(settings: ClientSettings) -> Result<Self, InvalidTls> {
        let rotation = Rotation::new(&settings.tls, settings.on_unusable_files)?;
        Ok(Self(Arc::new(Shared { settings, rotation, servers: Mutex::default(), pool: Arc::default() })))
    }

    /// Sends a request to the server in its address, and returns the answer as soon as its head is there. A redirection is
    /// an answer like any other.
    ///
    /// # Errors
    /// The error says how far the request came: see [`Error::progress`].
    ///
    /// # Cancel safety
    /// Dropped, it closes the connection; the server may have processed the request.
    pub async fn send(&self, mut request: Request<B>) -> Result<Response<AnswerBody<B>>, Error> {
        let dialer = self.dialer(request.uri())?;
        self.prepare(&dialer, &mut request)?;
        let mut request = request.map(Tracked::new);
        let mut kept = self.0.pool.take(&dialer).await;
        loop {
            let is_reused = kept.is_some();
            let connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(&dialer).await?,
            };
            match connection.send(request, self.0.settings.standstill_limit).await {
                Ok((answer, connection)) => {
                    dialer.scheme.on_answer();
                    let pool = self.0.pool.clone();
                    let answer = answer.map(|incoming| AnswerBody::new(incoming, connection, pool));
                    return checked(answer, &dialer);
                }
                // The server had closed the connection before it got anything of the request.
                Err(Failed { unsent: Some(unsent), .. }) if is_reused => {
                    request = *unsent;
                    kept = self.0.pool.take(&dialer).await;
                }
                Err(failed) => {
                    // What swallowed this connection swallows those to the same server, too.
                    if failed.error.kind() == ErrorKind::Timeout {
                        self.0.pool.forget(&dialer);
                    }
                    return Err(Box::pin(dialer.explained(failed.error)).await);
                }
            }
        }
    }

    /// Returns the way to the server in an address.
    fn dialer(&self, address: &Uri) -> Result<Arc<Dialer>, Error> {
        let invalid = |detail: &str| Error::new(ErrorKind::Message, detail);
        let (Some(scheme), Some(authority)) = (address.scheme_str(), address.authority()) else {
            return Err(invalid("the address has no scheme or no host"));
        };
        let server = format!("{scheme}://{authority}");
        let mut servers = self.0.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(&server) {
            return Ok(known.clone());
        }
        let url: OrchestratorUrl =
            server.parse().map_err(|_| invalid("the address is not one of an HTTP server"))?;
        let dialer = Dialer::over(&url, &self.0.settings.proxies, Some(self.0.rotation.clone()));
        let dialer = Arc::new(
            dialer.map_err(|error| invalid("the address is not one of an HTTP server").with_source(error))?,
        );
        if servers.len() >= MAX_SERVERS {
            servers.clear();
        }
        servers.insert(server, dialer.clone());
        Ok(dialer)
    }

    /// Adds headers. A proxy that forwards requests needs the whole address, a server only its path.
    fn prepare(&self, dialer: &Dialer, request: &mut Request<B>) -> Result<(), Error> {
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|error| Error::new(ErrorKind::Message, "a header of the request").with_source(error))
        };
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, value(&dialer.url.host_header())?);
        }
        let agent = HeaderValue::from_static(self.0.settings.user_agent);
        request.headers_mut().insert(header::USER_AGENT, agent);
        let Some(proxy) = dialer.forwarder() else {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
            return Ok(());
        };
        if let Some(credentials) = proxy.basic_credentials() {
            let mut credentials = value(&credentials)?;
            credentials.set_sensitive(true);
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
        }
        Ok(())
    }
}

/// Refuses an answer of the proxy: the request did not reach the server.
fn checked<B: RequestBody>(
    answer: Response<AnswerBody<B>>,
    dialer: &Dialer,
) -> Result<Response<AnswerBody<B>>, Error> {
    match dialer.forwarder().map(Proxy::to_string) {
        Some(proxy) if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let progress = ExchangeProgress { answered: true, ..ExchangeProgress::default() };
            Err(Error::new(ErrorKind::Proxy, format!("{proxy} answered 407")).with_progress(progress))
        }
        _ => Ok(answer),
    }
}
