//! HTTP/1.1 straight on hyper's connections.
//!
//! A pool would cost what a worker's speed is made of, and hide whether a request was written whole. So each
//! [`Transport`] owns at most one connection, made when it is first needed and again after it was closed, and drives
//! it from within the exchange: no task is spawned, and dropping the exchange closes the connection.

mod address;
mod body;
mod connection;
mod dial;
mod proxy;
mod rotation;
mod stream;
mod tls;
mod websocket;

use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use rustls::ClientConfig;
use tokio::time::Instant;

pub use address::{InvalidAddress, OrchestratorUrl, redacted, secrets_in};
pub use proxy::{InvalidProxy, Proxies};
pub use tls::{ClientIdentity, InvalidTls, TlsFile, TlsSettings, storage_tls};
pub use websocket::{HANDSHAKE_TIME_LIMIT, MAX_FRAME};

use self::body::Outgoing;
use self::connection::{Connection, Failed};
use self::dial::Dialer;
use self::proxy::Proxy;
use super::{Connector, ExchangeFuture, OpenFuture, Operation, PollQuery, Request, Response, Transport};
use crate::{Error, ErrorKind, Progress, VERSION, WorkerId};

/// Answers to a poll larger than this, counted decompressed, are refused without being read whole: 64 MiB.
pub const MAX_BODY: usize = 64 << 20;

/// Answers to anything but a poll larger than this are refused in the same way: 4 MiB.
pub const MAX_SMALL_BODY: usize = 4 << 20;

/// A connection must stand, TLS included, within this time: 5 s.
pub const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

/// How often it is looked whether the certificates of an open connection have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

const WORKER_TOKEN: HeaderName = HeaderName::from_static("x-worker-token");
const WORKER_ID: HeaderName = HeaderName::from_static("x-worker-id");
const RXON_VERSION: HeaderName = HeaderName::from_static("x-rxon-version");

/// What a connector needs to know.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where the orchestrator is.
    pub url: OrchestratorUrl,
    /// Who asks.
    pub worker_id: WorkerId,
    /// The token of every request; those for another token go on with what it is when the connector is made.
    pub token: Token,
    /// Whom to trust, for `https`.
    pub tls: TlsSettings,
    /// Through which proxies to go.
    pub proxies: Proxies,
    /// As `User-Agent`.
    pub user_agent: &'static str,
    /// Told, once for each change, when certificate files have changed and cannot be used. Those read before go on.
    pub on_unusable_files: Option<fn(&InvalidTls)>,
}

/// A token that can be replaced while connections are open. Never printed.
#[derive(Clone)]
pub struct Token(Arc<RwLock<HeaderValue>>);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(redacted)")
    }
}

impl Token {
    /// A token as it is put into the header.
    ///
    /// # Errors
    /// [`ErrorKind::Message`] when it holds characters no header can.
    pub fn new(token: &str) -> Result<Self, Error> {
        Ok(Self(Arc::new(RwLock::new(Self::header(token)?))))
    }

    /// Replaces it for all requests from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Message`] when the new one holds characters no header can; the old one stays.
    pub fn replace(&self, token: &str) -> Result<(), Error> {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Self::header(token)?;
        Ok(())
    }

    fn header(token: &str) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(token)
            .or_else(|_| HeaderValue::from_bytes(token.as_bytes()))
            .map_err(|_| Error::new(ErrorKind::Message, "the token holds control characters"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn current(&self) -> HeaderValue {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Makes HTTP transports to one orchestrator.
#[derive(Debug, Clone)]
pub struct HttpConnector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dialer: Dialer,
    addresses: Addresses,
    headers: HeaderMap,
    headers_with_body: HeaderMap,
    token: Token,
}

/// The address of every operation, made once.
#[derive(Debug)]
struct Addresses {
    register: Uri,
    worker: Uri,
    poll: String,
    result: Uri,
    event: Uri,
    token: Uri,
    /// As tungstenite wants it, with scheme and host.
    websocket: String,
}

impl HttpConnector {
    /// A connector with these settings. Reads certificates; connects to nothing.
    ///
    /// # Errors
    /// [`InvalidTls`] when a certificate file is not what it should be.
    pub fn new(settings: HttpSettings) -> Result<Self, InvalidTls> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                // Credentials are in a map of headers that is printed with its owner.
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
        if let Some(credentials) = dialer.forwarder().and_then(Proxy::credentials) {
            add(header::PROXY_AUTHORIZATION, &credentials);
        }
        let prefix = if dialer.forwarder().is_some() {
            settings.url.absolute_prefix()
        } else {
            settings.url.path_prefix()
        };
        let addresses = Addresses::new(&prefix, &settings.url, &settings.worker_id);
        headers.insert(WORKER_TOKEN, settings.token.current());
        let mut headers_with_body = headers.clone();
        headers_with_body.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self(Arc::new(Inner { dialer, addresses, headers, headers_with_body, token: settings.token })))
    }
}

impl Connector for HttpConnector {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(HttpTransport { inner: self.0.clone(), connection: None, tls: None, last_poll: None })
    }

    fn channel(&self) -> OpenFuture<'_> {
        let mut headers = self.0.headers.clone();
        headers.insert(WORKER_TOKEN, self.0.token.current());
        Box::pin(websocket::open(&self.0.dialer, &self.0.addresses.websocket, headers))
    }
}

impl Addresses {
    fn new(prefix: &str, url: &OrchestratorUrl, worker_id: &WorkerId) -> Self {
        let uri = |path: &str| -> Uri {
            format!("{prefix}/_worker/{path}").parse().expect("the prefix was parsed as a part of an address")
        };
        let worker = super::encoded(worker_id.as_str());
        Self {
            register: uri("workers/register"),
            worker: uri(&format!("workers/{worker}")),
            poll: format!("{prefix}/_worker/workers/{worker}/tasks/next?"),
            result: uri("tasks/result"),
            event: uri("events"),
            token: uri("auth/token"),
            websocket: format!("{}/_worker/ws/{worker}", url.websocket_prefix()),
        }
    }
}

/// One orchestrator, at most one connection.
#[derive(Debug)]
struct HttpTransport {
    inner: Arc<Inner>,
    connection: Option<Connection>,
    /// What the connection was made with, where that can change, and when it was last looked whether it has.
    tls: Option<(Arc<ClientConfig>, Instant)>,
    last_poll: Option<(Arc<PollQuery>, Uri)>,
}

impl Transport for HttpTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            let time_limit = request.time_limit;
            let max_body = match request.operation {
                Operation::Poll(_) => MAX_BODY,
                _ => MAX_SMALL_BODY,
            };
            let mut message = self.message(request)?;
            // An idle connection that the peer closed is found out here, before anything is written.
            let mut kept = match self.connection.take() {
                Some(connection) if !self.is_outdated().await => connection.still_open().await,
                _ => None,
            };
            loop {
                let reused = kept.is_some();
                let connection = if let Some(connection) = kept.take() {
                    connection
                } else {
                    // Rare, and large with all that TLS needs: not to be a part of every exchange's future.
                    let connection = Box::pin(self.inner.dialer.dial()).await?;
                    self.tls = self.inner.dialer.tls().map(|config| (config, Instant::now()));
                    connection
                };
                match connection.exchange(message, time_limit, max_body).await {
                    Ok(done) => return self.finish(done),
                    Err(Failed { unsent: Some(unsent), .. }) if reused => message = *unsent,
                    Err(failed) => return Err(failed.error),
                }
            }
        })
    }
}

impl HttpTransport {
    /// Whether the certificates have changed since the connection was made.
    async fn is_outdated(&mut self) -> bool {
        let Some((made_with, looked)) = &mut self.tls else { return false };
        if looked.elapsed() < LOOK_INTERVAL {
            return false;
        }
        *looked = Instant::now();
        self.inner.dialer.has_changed(made_with).await
    }

    fn message(&mut self, request: Request) -> Result<http::Request<Outgoing>, Error> {
        let addresses = &self.inner.addresses;
        let (method, uri) = match &request.operation {
            Operation::Register => (Method::POST, addresses.register.clone()),
            Operation::Heartbeat => (Method::PATCH, addresses.worker.clone()),
            Operation::Result => (Method::POST, addresses.result.clone()),
            Operation::Event => (Method::POST, addresses.event.clone()),
            Operation::Token => (Method::POST, addresses.token.clone()),
            Operation::Poll(query) => (Method::GET, self.poll_address(query)?),
        };
        let mut headers = if request.body.is_empty() {
            self.inner.headers.clone()
        } else {
            self.inner.headers_with_body.clone()
        };
        // A short-lived token is got for the long-lived one, which stands there from the beginning.
        if !matches!(request.operation, Operation::Token) {
            // Its place is there already: a map that grows would cost more than all the rest.
            headers.insert(WORKER_TOKEN, self.inner.token.current());
        }
        let mut message = http::Request::new(Outgoing::new(request.body));
        *message.method_mut() = method;
        *message.uri_mut() = uri;
        *message.headers_mut() = headers;
        Ok(message)
    }

    /// Poll after poll asks the same, so that its address is kept.
    fn poll_address(&mut self, query: &Arc<PollQuery>) -> Result<Uri, Error> {
        if let Some((known, uri)) = &self.last_poll
            && Arc::ptr_eq(known, query)
        {
            return Ok(uri.clone());
        }
        let uri = Uri::try_from(format!("{}{}", self.inner.addresses.poll, query.as_str()))
            .map_err(|error| Error::new(ErrorKind::Message, "the poll's address").with_source(error))?;
        self.last_poll = Some((query.clone(), uri.clone()));
        Ok(uri)
    }

    fn finish(&mut self, done: connection::Done) -> Result<Response, Error> {
        self.connection = done.connection;
        if done.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = self.inner.dialer.forwarder()
        {
            // No orchestrator says this: the request went no further.
            let progress = Progress { answered: true, ..Progress::default() };
            return Err(Error::new(ErrorKind::Proxy, format!("{proxy} answered 407")).with_progress(progress));
        }
        Ok(response(done.status, &done.headers, done.body))
    }
}

/// What is kept of an answer.
fn response(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after =
        text(header::RETRY_AFTER).and_then(|value| crate::backoff::retry_after(value, SystemTime::now()));
    let location = text(header::LOCATION).filter(|_| status.is_redirection()).map(redacted);
    let date = text(header::DATE).filter(|_| !status.is_success());
    let date = date.and_then(|value| httpdate::parse_http_date(value).ok());
    Response { status: status.as_u16(), body, retry_after, location, date }
}
