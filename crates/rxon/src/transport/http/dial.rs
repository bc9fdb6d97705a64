//! Opening a connection: name lookup, TCP, proxy, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, InvalidMessage};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::lookup_host;
use tokio_rustls::TlsConnector;

use super::address::OrchestratorUrl;
use super::proxy::{Proxies, Proxy};
use super::race::Losers;
use super::rotation::Rotation;
use super::scheme::Scheme;
use super::stream::{Line, Stream, is_tls};
use super::tls::{InvalidTls, TlsSettings};
use crate::error::{Error, ErrorKind};
use crate::limit::within;
use crate::text::excerpt;

/// The time limit of connecting, including TLS: 5 s.
pub const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The maximal size of the head of a proxy's answer to CONNECT, in bytes.
const MAX_PROXY_HEAD: usize = 16 << 10;

/// What is wrong when the answer to a handshake of TLS is something else.
const SPEAKS_NO_TLS: &str =
    " does not speak TLS on this port: if it speaks HTTP, the address must begin with `http://`";

/// Returns whether the peer answered a handshake of TLS with something else.
fn is_plain(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

/// Opens connections to one orchestrator.
pub(super) struct Dialer {
    pub(super) url: OrchestratorUrl,
    proxy: Option<Proxy>,
    tls: Option<(Rotation, ServerName<'static>)>,
    /// The addresses of the orchestrator, or of the proxy, that did not answer lately.
    losers: Losers,
    pub(super) scheme: Scheme,
}

impl Dialer {
    pub(super) fn new(
        url: &OrchestratorUrl,
        proxies: &Proxies,
        settings: &TlsSettings,
        on_unusable: Option<fn(&InvalidTls)>,
    ) -> Result<Self, InvalidTls> {
        let rotation = url.is_secure().then(|| Rotation::new(settings, on_unusable)).transpose()?;
        Self::over(url, proxies, rotation)
    }

    /// Uses a TLS configuration that others may share.
    pub(super) fn over(
        url: &OrchestratorUrl,
        proxies: &Proxies,
        rotation: Option<Rotation>,
    ) -> Result<Self, InvalidTls> {
        let tls = match rotation.filter(|_| url.is_secure()) {
            Some(rotation) => {
                let name = ServerName::try_from(url.host().to_owned())
                    .map_err(|_| InvalidTls::new("host", url.host(), "a host name or an IP address"))?;
                Some((rotation, name))
            }
            None => None,
        };
        let proxy = proxies.choose(url.is_secure(), url.host(), url.port()).cloned();
        Ok(Self { url: url.clone(), proxy, tls, losers: Losers::default(), scheme: Scheme::default() })
    }

    /// Returns the proxy that forwards requests, if there is one: it needs the whole address of each.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.tls.is_none())
    }

    /// Returns the TLS configuration of the last opened connection, if it comes from files.
    pub(super) fn tls(&self) -> Option<Arc<ClientConfig>> {
        let (rotation, _) = self.tls.as_ref()?;
        rotation.has_files().then(|| rotation.current())
    }

    /// Returns whether a new connection would have another TLS configuration than this one.
    pub(super) async fn has_changed(&self, used: &Arc<ClientConfig>) -> bool {
        let Some((rotation, _)) = &self.tls else { return false };
        rotation.config().await.is_ok_and(|config| !Arc::ptr_eq(&config, used))
    }

    /// Connects within the time limit. For a websocket, `tunnel` asks for a tunnel even through a proxy that forwards
    /// requests.
    pub(super) async fn dial(&self, tunnel: bool) -> Result<Stream, Error> {
        within(CONNECT_TIME_LIMIT, self.stream(tunnel || self.tls.is_some())).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Connect, format!("{} within {CONNECT_TIME_LIMIT:?}", self.url)))
        })
    }

    async fn stream(&self, tunnel: bool) -> Result<Stream, Error> {
        let tcp = match &self.proxy {
            None => self.line(self.url.host(), self.url.port(), &self.url.to_string()).await?,
            Some(proxy) => {
                let mut stream = self.line(proxy.host(), proxy.port(), &format!("proxy {proxy}")).await?;
                if tunnel {
                    open_tunnel(&mut stream, proxy, &self.url).await?;
                }
                stream
            }
        };
        Ok(match &self.tls {
            None => Stream::Left(tcp),
            Some((rotation, name)) => {
                let tls = TlsConnector::from(rotation.config().await?)
                    .connect(name.clone(), tcp)
                    .await
                    .map_err(|error| {
                        let kind = if is_tls(&error) { ErrorKind::Tls } else { ErrorKind::Connect };
                        let words = if is_plain(&error) { SPEAKS_NO_TLS } else { "" };
                        Error::new(kind, format!("{}{words}", self.url)).with_source(error)
                    })?;
                Stream::Right(Box::new(tls))
            }
        })
    }

    /// Names the cause of a failed exchange, if the server expects TLS.
    pub(super) async fn explained(&self, error: Error) -> Error {
        self.scheme.explained(error, &self.url, self.direct()).await
    }

    /// Connects to the server itself; `None` if that fails, or if there is a proxy.
    async fn direct(&self) -> Option<Line> {
        if self.proxy.is_some() {
            return None;
        }
        self.line(self.url.host(), self.url.port(), "").await.ok()
    }

    async fn line(&self, host: &str, port: u16, peer: &str) -> Result<Line, Error> {
        let line = async { Line::new(self.losers.connect(lookup_host((host, port)).await?).await?) };
        line.await.map_err(|error: io::Error| Error::new(ErrorKind::Connect, peer).with_source(error))
    }
}

/// Requests a tunnel from a proxy.
async fn open_tunnel(stream: &mut Line, proxy: &Proxy, url: &OrchestratorUrl) -> Result<(), Error> {
    let failed = |detail: String| Error::new(ErrorKind::Proxy, detail);
    let target = url.target();
    let header = |value| format!("Proxy-Authorization: {value}\r\n");
    let credentials = proxy.basic_credentials().map(header).unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|error| failed(proxy.to_string()).with_source(error))?;
    let mut head = Vec::new();
    // Reads single bytes, as those after the head belong to TLS. A head is read once per connection.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_PROXY_HEAD {
            return Err(failed(format!(
                "{proxy} answered CONNECT with more than {MAX_PROXY_HEAD} bytes of headers"
            )));
        }
        let byte = stream.read_u8().await.map_err(|error| {
            failed(format!("{proxy} closed the connection after CONNECT {target}")).with_source(error)
        })?;
        head.push(byte);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with(b"2") {
        Ok(())
    } else {
        Err(failed(format!("{proxy} answered CONNECT {target} with `{}`", excerpt(line))))
    }
}
