use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

fn client<B: RequestBody>() -> HttpClient<B> {
    impatient_client(LIMIT)
}

fn impatient_client<B: RequestBody>(standstill_limit: Duration) -> HttpClient<B> {
    HttpClient::new(ClientSettings {
        tls: TlsSettings::default(),
        proxies: Proxies::default(),
        user_agent: "test",
        standstill_limit,
        on_unusable_files: None,
    })
    .expect("no files")
}

/// A server that gives each of its connections to a function, with the number of those before it.
struct Server {
    address: String,
    accepted: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl Server {
    async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(usize, BufReader<TcpStream>) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let accepted = Arc::<AtomicUsize>::default();
        let count = accepted.clone();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(count.fetch_add(1, Ordering::SeqCst), BufReader::new(stream)));
            }
        });
        Self { address, accepted, _connections: connections }
    }

    fn get<B: Default>(&self, path: &str) -> Request<B> {
        Request::get(format!("{}{path}", self.address)).body(B::default()).expect("a request")
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Reads a request without a body; empty at the end of the connection.
async fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while stream.read_line(&mut head).await.is_ok_and(|read| read > 2) {}
    head
}

async fn send(stream: &mut BufReader<TcpStream>, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("a client");
}

/// Answers this many requests.
async fn answer(mut stream: BufReader<TcpStream>, times: usize) {
    for _ in 0..times {
        if head(&mut stream).await.is_empty() {
            return;
        }
        send(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    }
}

async fn text<B: RequestBody>(answer: Result<Response<AnswerBody<B>>, Error>) -> Bytes {
    answer.expect("an answer").into_body().collect().await.expect("a body").to_bytes()
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_the_server_closed_is_replaced() {
    let server = Server::start(|_, stream| answer(stream, 3)).await;
    let client = client::<Full<Bytes>>();
    for number in 0..9 {
        assert_eq!(text(client.send(server.get("/a?b")).await).await, "ok");
        assert_eq!(server.accepted(), number / 3 + 1, "after request {number}");
    }
}

#[tokio::test]
async fn requests_at_once_have_connections_of_their_own() {
    let server = Server::start(|_, stream| answer(stream, 9)).await;
    let client = client::<Full<Bytes>>();
    let (first, second) = (client.send(server.get("/")).await, client.send(server.get("/")).await);
    assert_eq!((text(first).await, text(second).await), ("ok".into(), "ok".into()));
    assert_eq!((server.accepted(), client.0.pool.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_needs_is_closed() {
    let server = Server::start(|_, stream| answer(stream, 9)).await;
    let client = client::<Full<Bytes>>();
    let _ = text(client.send(server.get("/")).await).await;
    assert_eq!(client.0.pool.len(), 1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(client.0.pool.len(), 0);
}

#[tokio::test]
async fn the_head_has_the_path_only_and_names_the_host() {
    let (sender, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            sender.send(head(&mut stream).await).expect("a test");
            send(&mut stream, b"HTTP/1.1 204 No\r\n\r\n").await;
        }
    })
    .await;
    let _ = text(client::<Full<Bytes>>().send(server.get("/a%20b?c=d")).await).await;
    let head = heads.recv().await.expect("a request");
    let host = server.address.trim_start_matches("http://");
    assert!(head.starts_with("GET /a%20b?c=d HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {host}\r\n")) && head.contains("user-agent: test\r\n"), "{head}");
}

#[tokio::test]
async fn an_answer_is_there_with_its_head_and_its_body_piece_by_piece() {
    let (go, mut going) = tokio::sync::mpsc::unbounded_channel::<()>();
    let going = Mutex::new(Some(std::mem::replace(&mut going, tokio::sync::mpsc::unbounded_channel().1)));
    let server = Server::start(move |_, mut stream| {
        let mut going = going.lock().expect("a lock").take().expect("one connection");
        async move {
            head(&mut stream).await;
            send(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n").await;
            for piece in [b"a", b"b", b"c"] {
                going.recv().await.expect("a test");
                send(&mut stream, piece).await;
            }
        }
    })
    .await;
    let client = client::<Full<Bytes>>();
    let mut body = client.send(server.get("/")).await.expect("a head").into_body();
    for piece in ["a", "b", "c"] {
        go.send(()).expect("a server");
        let frame = body.frame().await.expect("a piece").expect("no error");
        assert_eq!(frame.into_data().expect("data"), piece);
    }
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn a_body_that_is_dropped_early_closes_its_connection() {
    let server = Server::start(|_, mut stream| async move {
        head(&mut stream).await;
        send(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab").await;
        assert_eq!(stream.read(&mut [0]).await.expect("a close"), 0);
    })
    .await;
    let client = client::<Full<Bytes>>();
    drop(client.send(server.get("/")).await.expect("a head"));
    assert_eq!(client.0.pool.len(), 0);
}

#[tokio::test]
async fn a_refusal_is_read_although_the_request_was_not() {
    let server = Server::start(|_, mut stream| async move {
        head(&mut stream).await;
        send(&mut stream, b"HTTP/1.1 403 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno").await;
        // More than the buffers of both systems take comes, and is not read.
        let _ = stream.get_mut().shutdown().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let client = client();
    let request = Request::put(&server.address).body(Full::new(Bytes::from(vec![0; 64 << 20])));
    let answer = client.send(request.expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "no");
    assert_eq!(client.0.pool.len(), 0);
}

#[tokio::test]
async fn the_body_of_a_request_is_taken_as_it_is_sent() {
    const PIECES: usize = 200;
    let server = Server::start(|_, mut stream| async move {
        head(&mut stream).await;
        let mut content = vec![0; PIECES * 1000];
        stream.read_exact(&mut content).await.expect("all pieces");
        assert_eq!(content[1000], 1);
        send(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let client = client();
    let pieces =
        (0..PIECES).map(|number| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![number as u8; 1000]))));
    let request = Request::put(&server.address).header(header::CONTENT_LENGTH, PIECES * 1000);
    let request = request.body(StreamBody::new(stream::iter(pieces))).expect("a request");
    assert_eq!(client.send(request).await.expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_request_and_a_body() {
    for (sent, is_head) in [(&b""[..], true), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", false)] {
        let server = Server::start(move |_, mut stream| async move {
            head(&mut stream).await;
            send(&mut stream, sent).await;
            std::future::pending::<()>().await;
        })
        .await;
        let client = client::<Full<Bytes>>();
        let error = match client.send(server.get("/")).await {
            Err(error) if is_head => error,
            Ok(answer) if !is_head => answer.into_body().collect().await.map(|_| ()).expect_err("silence"),
            other => panic!("{other:?}"),
        };
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!((error.progress().written, error.progress().answered), (true, !is_head));
        assert!(error.to_string().contains("30s without a byte moving"), "{error}");
    }
}

/// The line broke behind the backs of all kept connections.
#[tokio::test]
async fn silence_on_one_connection_ends_the_kept_ones_to_the_same_server() {
    for (sent, is_head) in [(&b""[..], true), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", false)] {
        let server = Server::start(move |number, mut stream| async move {
            if number >= 2 {
                return answer(stream, 9).await;
            }
            head(&mut stream).await;
            send(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            head(&mut stream).await;
            send(&mut stream, sent).await;
            std::future::pending::<()>().await;
        })
        .await;
        let other = Server::start(|_, stream| answer(stream, 9)).await;
        // Less than the time for which a connection is kept.
        let client = impatient_client::<Full<Bytes>>(LIMIT / 3);
        assert_eq!(text(client.send(other.get("/")).await).await, "ok");
        let (first, second) = (client.send(server.get("/")).await, client.send(server.get("/")).await);
        assert_eq!((text(first).await, text(second).await), ("ok".into(), "ok".into()));
        assert_eq!(client.0.pool.len(), 3);
        tokio::time::pause();
        let failed = match client.send(server.get("/")).await {
            Err(error) if is_head => error,
            Ok(answer) if !is_head => answer.into_body().collect().await.map(|_| ()).expect_err("silence"),
            other => panic!("{other:?}"),
        };
        tokio::time::resume();
        assert_eq!(
            (failed.kind(), client.0.pool.len()),
            (ErrorKind::Timeout, 1),
            "the other server's is kept"
        );
        assert_eq!(text(client.send(server.get("/")).await).await, "ok");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_named_is_an_error() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let client = client::<Full<Bytes>>();
    for (address, kind) in [
        (address.as_str(), ErrorKind::Connect),
        ("/path", ErrorKind::Message),
        ("ftp://h/", ErrorKind::Message),
    ] {
        let request = Request::get(address).body(Full::default()).expect("a request");
        assert_eq!(client.send(request).await.expect_err(address).kind(), kind, "{address}");
    }
}

/// A client that goes through this proxy, if it has an address, and trusts the system and this file.
fn secure_client(proxy: Option<&str>, ca_path: Option<std::path::PathBuf>) -> HttpClient<Full<Bytes>> {
    let proxies =
        Proxies::read(|name| proxy.filter(|_| name == "HTTPS_PROXY").map(str::to_owned)).expect("a proxy");
    let tls = TlsSettings { ca_path, and_system: true, ..TlsSettings::default() };
    let settings =
        ClientSettings { tls, proxies, user_agent: "test", standstill_limit: LIMIT, on_unusable_files: None };
    HttpClient::new(settings).expect("a file of certificates")
}

#[tokio::test]
async fn a_secure_server_is_verified_also_through_a_proxy() {
    let tls = testkit::Tls::new();
    let acceptor = tokio_rustls::TlsAcceptor::from(tls.server_config());
    let server = Server::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream.into_inner()).await else { return };
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            // The client closes first.
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    let address = server.address.replace("http://127.0.0.1", "https://localhost");
    let request = || Request::get(&address).body(Full::default()).expect("a request");
    let folder = tempfile::tempdir().expect("a folder");
    let ca_path = folder.path().join("ca.pem");
    std::fs::write(&ca_path, tls.ca_pem()).expect("written");
    let proxy = testkit::Proxy::start().await;
    let through = proxy.url();
    for proxy in [None, Some(through.as_str())] {
        let client = secure_client(proxy, Some(ca_path.clone()));
        assert_eq!(text(client.send(request()).await).await, "ok", "{proxy:?}");
    }
    assert_eq!(proxy.seen().len(), 1);
    let error =
        secure_client(None, None).send(request()).await.expect_err("the authority is not the system's");
    assert_eq!(error.kind(), ErrorKind::Tls);
}
