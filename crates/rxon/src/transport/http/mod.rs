//! HTTP/1.1 directly on hyper's connections.
//!
//! A pool would cost speed, and hide whether a request was written to its end. So each [`Transport`] owns at most one
//! connection, opened when it is needed and reopened after it was closed, and drives it from within the exchange: no
//! task is spawned, and dropping the exchange closes the connection.

mod address;
mod body;
mod client;
mod connection;
mod cookies;
mod dial;
mod http1;
mod pinned;
mod proxy;
mod race;
mod rotation;
mod scheme;
mod stream;
mod tls;
mod wakes;
mod websocket;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use rustls::ClientConfig;
use tokio::time::Instant;

pub use address::{InvalidAddress, OrchestratorUrl, redacted, secrets_in};
pub use client::{AnswerBody, ClientSettings, HttpClient, RequestBody};
pub use dial::CONNECT_TIME_LIMIT;
pub use proxy::{InvalidProxy, Proxies};
pub use tls::{ClientIdentity, InvalidTls, TlsFile, TlsSettings};
pub use websocket::{HANDSHAKE_TIME_LIMIT, MAX_FRAME};

use self::connection::{Connection, Failed, Outgoing};
use self::cookies::Jar;
use self::dial::Dialer;
use self::proxy::Proxy;
use super::{Connector, ExchangeFuture, OpenFuture, Operation, PollQuery, Request, Response, Transport};
use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::id::WorkerId;
use crate::model::VERSION;

/// The maximal size of the answer to a poll, decompressed: 64 MiB. A larger one is not read to its end.
pub const MAX_BODY: usize = 64 << 20;

/// The maximal size of the answer to any other operation, decompressed: 4 MiB.
pub const MAX_SMALL_BODY: usize = 4 << 20;

/// The time between two checks whether the certificates of an open connection have changed.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

const WORKER_TOKEN: HeaderName = HeaderName::from_static("x-worker-token");
const WORKER_ID: HeaderName = HeaderName::from_static("x-worker-id");
const RXON_VERSION: HeaderName = HeaderName::from_static("x-rxon-version");

/// The settings of a connector.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The address of the orchestrator.
    pub url: OrchestratorUrl,
    /// The name of the worker.
    pub worker_id: WorkerId,
    /// The token of every request. Requests for a short-lived token keep the value it has when the connector is created.
    pub token: Token,
    /// The TLS settings for `https`.
    pub tls: TlsSettings,
    /// The proxies.
    pub proxies: Proxies,
    /// The value of the header `User-Agent`.
    pub user_agent: &'static str,
    /// Called once for each change of certificate files that leaves them unusable. The previous certificates stay in use.
    pub on_unusable_files: Option<fn(&InvalidTls)>,
}

/// A token that can be replaced while connections are open. It is never printed.
#[derive(Debug, Clone)]
pub struct Token(Arc<RwLock<HeaderValue>>);

impl Token {
    /// Creates a token.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Message`] when a header cannot hold its characters.
    pub fn new(token: &str) -> Result<Self, Error> {
        Ok(Self(Arc::new(RwLock::new(Self::header(token)?))))
    }

    /// Replaces the token of all later requests.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Message`] when a header cannot hold the characters of the new token; the old one stays.
    pub fn replace(&self, token: &str) -> Result<(), Error> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Self::header(token)?;
        Ok(())
    }

    fn header(token: &str) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_bytes(token.as_bytes())
            .map_err(|_| Error::new(ErrorKind::Message, "the token contains control characters"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn current(&self) -> HeaderValue {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A factory of HTTP transports to one orchestrator.
#[derive(Clone)]
pub struct HttpConnector(Arc<Inner>);

impl fmt::Debug for HttpConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpConnector({})", self.0.dialer.url)
    }
}

struct Inner {
    dialer: Dialer,
    addresses: Addresses,
    headers: HeaderMap,
    headers_with_body: HeaderMap,
    token: Token,
    /// The cookies that the orchestrator, or a gateway before it, has set.
    cookies: Jar,
}

/// The addresses of all operations, created once.
struct Addresses {
    register: Uri,
    worker: Uri,
    poll: String,
    result: Uri,
    event: Uri,
    token: Uri,
    call_skill: Uri,
    /// With scheme and host, as tungstenite expects.
    websocket: String,
}

impl HttpConnector {
    /// Creates a connector. Reads certificates, but does not connect.
    ///
    /// # Errors
    /// Returns [`InvalidTls`] when a certificate file cannot be used.
    pub fn new(settings: HttpSettings) -> Result<Self, InvalidTls> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                // A map of headers shows only values that are not sensitive.
                value.set_sensitive(matches!(name, header::AUTHORIZATION | header::PROXY_AUTHORIZATION));
                headers.insert(name, value);
            }
        };
        add(header::HOST, &settings.url.host_header());
        add(header::ACCEPT, "application/json");
        add(header::ACCEPT_ENCODING, "gzip");
        add(header::USER_AGENT, settings.user_agent);
        add(WORKER_ID, settings.worker_id.as_str());
        add(RXON_VERSION, VERSION);
        if let Some(credentials) = settings.url.basic_credentials() {
            add(header::AUTHORIZATION, &credentials);
        }
        let dialer =
            Dialer::new(&settings.url, &settings.proxies, &settings.tls, settings.on_unusable_files)?;
        if let Some(credentials) = dialer.forwarder().and_then(Proxy::basic_credentials) {
            add(header::PROXY_AUTHORIZATION, &credentials);
        }
        // A forwarding proxy needs whole addresses.
        let prefix = match dialer.forwarder() {
            Some(_) => settings.url.to_string(),
            None => settings.url.prefix().to_owned(),
        };
        let addresses = Addresses::new(&prefix, &settings.url, &settings.worker_id);
        headers.insert(WORKER_TOKEN, settings.token.current());
        let mut headers_with_body = headers.clone();
        headers_with_body.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers_with_body.insert(header::CONTENT_LENGTH, 0.into());
        let cookies = Jar::new(&settings.url);
        Ok(Self(Arc::new(Inner {
            dialer,
            addresses,
            headers,
            headers_with_body,
            token: settings.token,
            cookies,
        })))
    }
}

impl Connector for HttpConnector {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(HttpTransport { inner: self.0.clone(), connection: None, tls: None, last_poll: None })
    }

    fn channel(&self) -> OpenFuture<'_> {
        let mut headers = self.0.headers.clone();
        headers.insert(WORKER_TOKEN, self.0.token.current());
        Box::pin(websocket::open(&self.0.dialer, &self.0.addresses.websocket, headers, &self.0.cookies))
    }
}

impl Addresses {
    fn new(prefix: &str, url: &OrchestratorUrl, worker_id: &WorkerId) -> Self {
        let uri = |path: &str| -> Uri {
            format!("{prefix}/_worker/{path}").parse().expect("the prefix is a part of a valid address")
        };
        let worker = super::encoded(worker_id.as_str());
        Self {
            register: uri("workers/register"),
            worker: uri(&format!("workers/{worker}")),
            poll: format!("{prefix}/_worker/workers/{worker}/tasks/next?"),
            result: uri("tasks/result"),
            event: uri("events"),
            token: uri("auth/token"),
            call_skill: format!("{prefix}/skills/call")
                .parse()
                .expect("the prefix is a part of a valid address"),
            websocket: format!("{}/_worker/ws/{worker}", url.websocket_prefix()),
        }
    }
}

/// A transport with at most one connection.
struct HttpTransport {
    inner: Arc<Inner>,
    connection: Option<Connection>,
    /// The TLS configuration of the connection, where it can change, and the time of the last check.
    tls: Option<(Arc<ClientConfig>, Instant)>,
    last_poll: Option<(Arc<PollQuery>, Uri)>,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpTransport({})", self.inner.dialer.url)
    }
}

impl Transport for HttpTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            let limits = request.limits();
            let max_body = match request.operation {
                Operation::Poll(_) | Operation::CallSkill => MAX_BODY,
                _ => MAX_SMALL_BODY,
            };
            let is_registration = matches!(request.operation, Operation::Register);
            let Request { operation, mut body, .. } = request;
            let mut unsent: Option<Box<http::Request<Outgoing>>> = None;
            let mut kept = self.connection.take();
            // Boxed, as what follows, because it is rare, and too large for every exchange's future.
            if kept.is_some() && self.is_check_due() && Box::pin(self.is_outdated()).await {
                kept = None;
            }
            loop {
                let reused = kept.is_some();
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => Box::pin(self.open()).await?,
                };
                // Made only now, so that the future has no room for it: it is large.
                let message = match unsent.take() {
                    Some(unsent) => *unsent,
                    None => self.message(&operation, std::mem::take(&mut body))?,
                };
                match connection.exchange(message, limits, max_body).await {
                    Ok((response, with_cookies)) => {
                        self.connection = connection.end().then_some(connection);
                        self.inner.dialer.scheme.on_answer();
                        if let Some(headers) = with_cookies {
                            let address = self.address(&operation)?;
                            self.inner.cookies.take(&headers, address.path());
                        }
                        return self.checked(response);
                    }
                    // The peer had closed the connection before anything was written.
                    Err(Failed { unsent: Some(request), .. }) if reused => unsent = Some(request),
                    // The first request to each orchestrator. Boxed because it is rare.
                    Err(failed) if is_registration => {
                        return Err(Box::pin(self.inner.dialer.explained(failed.error)).await);
                    }
                    Err(failed) => return Err(failed.error),
                }
            }
        })
    }
}

impl HttpTransport {
    /// Opens a connection.
    async fn open(&mut self) -> Result<Connection, Error> {
        let stream = self.inner.dialer.dial(false).await?;
        self.tls = self.inner.dialer.tls().map(|config| (config, Instant::now()));
        Connection::new(stream).await
    }

    /// Returns whether it is time to look whether the certificates have changed.
    fn is_check_due(&self) -> bool {
        self.tls.as_ref().is_some_and(|(_, checked)| checked.elapsed() >= CHECK_INTERVAL)
    }

    /// Returns whether the certificates have changed since the connection was opened.
    async fn is_outdated(&mut self) -> bool {
        let Some((config, checked)) = &mut self.tls else { return false };
        *checked = Instant::now();
        self.inner.dialer.has_changed(config).await
    }

    fn message(&mut self, operation: &Operation, body: Bytes) -> Result<http::Request<Outgoing>, Error> {
        let method = match operation {
            Operation::Poll(_) => Method::GET,
            Operation::Heartbeat => Method::PATCH,
            _ => Method::POST,
        };
        let uri = self.address(operation)?;
        let mut headers =
            if body.is_empty() { self.inner.headers.clone() } else { self.inner.headers_with_body.clone() };
        // Replaces values: letting the map grow, as hyper would, costs more than the rest of this function.
        if !body.is_empty() {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        // A request for a short-lived token keeps the long-lived token, which is in the headers already.
        if !matches!(operation, Operation::Token) {
            headers.insert(WORKER_TOKEN, self.inner.token.current());
        }
        if let Some(cookies) = self.inner.cookies.header(uri.path()) {
            headers.insert(header::COOKIE, cookies);
        }
        let mut message = http::Request::new(Outgoing::new(body.into()));
        *message.method_mut() = method;
        *message.uri_mut() = uri;
        *message.headers_mut() = headers;
        Ok(message)
    }

    fn address(&mut self, operation: &Operation) -> Result<Uri, Error> {
        let addresses = &self.inner.addresses;
        Ok(match operation {
            Operation::Register => addresses.register.clone(),
            Operation::Heartbeat => addresses.worker.clone(),
            Operation::Result => addresses.result.clone(),
            Operation::Event => addresses.event.clone(),
            Operation::Token => addresses.token.clone(),
            Operation::CallSkill => addresses.call_skill.clone(),
            Operation::Poll(query) => return self.poll_address(query),
        })
    }

    /// Keeps the last address, as most polls repeat it.
    fn poll_address(&mut self, query: &Arc<PollQuery>) -> Result<Uri, Error> {
        if let Some((known, uri)) = &self.last_poll
            && Arc::ptr_eq(known, query)
        {
            return Ok(uri.clone());
        }
        let uri = Uri::try_from(format!("{}{}", self.inner.addresses.poll, query.as_str()))
            .map_err(|error| Error::new(ErrorKind::Message, "the address of the poll").with_source(error))?;
        self.last_poll = Some((query.clone(), uri.clone()));
        Ok(uri)
    }

    /// Refuses an answer of the proxy: the request did not reach the orchestrator.
    fn checked(&self, response: Response) -> Result<Response, Error> {
        if response.status == 407
            && let Some(proxy) = self.inner.dialer.forwarder()
        {
            let progress = ExchangeProgress { answered: true, ..ExchangeProgress::default() };
            return Err(Error::new(ErrorKind::Proxy, format!("{proxy} answered 407")).with_progress(progress));
        }
        Ok(response)
    }
}
