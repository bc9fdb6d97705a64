//! A small forward proxy for HTTP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::door::{Arrival, Door};

/// The maximum length of a head; larger than any head in the tests.
const MAX_HEAD: usize = 64 * 1024;

/// A forward proxy that tunnels (`CONNECT`), forwards requests for absolute URLs, and records all requests.
///
/// Every forwarded request has its own connection, which ends with the answer.
#[derive(Clone)]
pub struct Proxy {
    door: Arc<Door>,
    desk: Arc<ProxyState>,
}

/// A request to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    /// The method; `CONNECT` for a tunnel.
    pub method: String,
    /// The request target: `host:port` for a tunnel, else the whole URL.
    pub target: String,
    /// The headers of the request, including those for the proxy.
    pub headers: Vec<(String, String)>,
    /// True if the proxy forwarded the request.
    pub allowed: bool,
}

impl Proxied {
    /// The value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

struct ProxyState {
    /// The `Proxy-Authorization` that requests must have.
    authorization: Option<String>,
    seen: Mutex<Vec<Proxied>>,
}

impl Proxy {
    /// Starts an open proxy on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a proxy that requires exactly this `Proxy-Authorization` header (`Basic dXNlcjpwYXNz`), else answers 407.
    pub async fn requiring(authorization: &str) -> Self {
        Self::start_with(Some(authorization.to_owned())).await
    }

    #[expect(clippy::unused_async, reason = "it spawns: being async keeps callers inside a runtime")]
    async fn start_with(authorization: Option<String>) -> Self {
        let desk = Arc::new(ProxyState { authorization, seen: Mutex::default() });
        let serving = desk.clone();
        let door = Door::open(([127, 0, 0, 1], 0).into(), move |arrival| serve(arrival, serving.clone()));
        Self { door: Arc::new(door.expect("a free port")), desk }
    }

    /// The address that the proxy listens on.
    pub fn addr(&self) -> SocketAddr {
        self.door.address()
    }

    /// The URL for `http_proxy` and the like.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The requests so far, including refused ones.
    pub fn seen(&self) -> Vec<Proxied> {
        self.desk.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes all connections through the proxy.
    pub fn drop_connections(&self) {
        self.door.drop_connections();
    }

    /// Stops the proxy and ends all connections.
    pub async fn stop(&self) {
        self.door.stop().await;
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxy").field("addr", &self.addr()).finish_non_exhaustive()
    }
}

async fn serve(arrival: Arrival, desk: Arc<ProxyState>) {
    let Arrival { stream, ended, .. } = arrival;
    // Both ends notice a broken connection by themselves.
    let _ = ended.run_until_cancelled(serve_client(stream, &desk)).await;
}

async fn serve_client(mut client: TcpStream, desk: &ProxyState) -> io::Result<()> {
    let (head, rest) = read_head(&mut client).await?;
    let Some(mut request) = parse(&head) else {
        return refuse(&mut client, "400 Bad Request").await;
    };
    request.allowed = desk
        .authorization
        .as_deref()
        .is_none_or(|wanted| request.header("proxy-authorization") == Some(wanted));
    desk.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    if !request.allowed {
        return refuse(&mut client, "407 Proxy Authentication Required\r\nproxy-authenticate: Basic").await;
    }
    let (authority, path) = split(&request);
    let Ok(mut server) = TcpStream::connect(authority).await else {
        return refuse(&mut client, "502 Bad Gateway").await;
    };
    let _ = server.set_nodelay(true);
    if request.method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        server.write_all(&forwarded(&request, &path)).await?;
    }
    server.write_all(&rest).await?;
    if request.method != "CONNECT" {
        return forward_answer(client, server).await;
    }
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

/// Forwards the rest of the request, and the answer with the header `connection: close`.
async fn forward_answer(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let request = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        // The client has gone, so the request ends too; otherwise a held poll would not notice.
        Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    let answer = async {
        let (head, rest) = read_head(&mut from_server).await?;
        let end_of_status = head.windows(2).position(|pair| pair == b"\r\n").map_or(head.len(), |at| at + 2);
        let (status, headers) = head.split_at(end_of_status);
        to_client.write_all(&[status, b"connection: close\r\n", headers, &rest].concat()).await?;
        tokio::io::copy(&mut from_server, &mut to_client).await
    };
    tokio::select! {
        gone = request => gone,
        answered = answer => answered.map(|_| ()),
    }
}

async fn refuse(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

/// Reads up to the empty line; also returns the bytes read after it.
async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Ok((head, rest));
        }
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse(head: &[u8]) -> Option<Proxied> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok().filter(httparse::Status::is_complete)?;
    let header = |header: &httparse::Header<'_>| {
        (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
    };
    Some(Proxied {
        method: request.method?.to_owned(),
        target: request.path?.to_owned(),
        headers: request.headers.iter().map(header).collect(),
        allowed: false,
    })
}

/// The address to connect to, and the path to request there.
fn split(request: &Proxied) -> (String, String) {
    let target = request.target.strip_prefix("http://").unwrap_or(&request.target);
    let (authority, path) = target.split_at(target.find('/').unwrap_or(target.len()));
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    (authority, if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}

/// The head of the request for the server: path only, no headers for the proxy, one request per connection.
fn forwarded(request: &Proxied, path: &str) -> Vec<u8> {
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    for (name, value) in &request.headers {
        let lower = name.to_ascii_lowercase();
        if !lower.starts_with("proxy-") && lower != "connection" {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    head.push_str("connection: close\r\n\r\n");
    head.into_bytes()
}
