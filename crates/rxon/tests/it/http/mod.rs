//! The HTTP transport against servers of every kind.

mod bodies;
mod closing;
mod connecting;
mod cookies;
mod limits;
mod proxies;
mod requests;
mod secrets;
mod tls;

use std::net::SocketAddr;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

/// More bytes than the socket buffers of both sides hold.
const LARGE: usize = 32 << 20;

/// Runs a client against a server that behaves as testkit's cannot: `serve` gets the first connection, `client` the
/// address.
async fn against<T>(serve: impl AsyncFnOnce(TcpStream), client: impl AsyncFnOnce(SocketAddr) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    };
    let client = client(address);
    tokio::pin!(client);
    tokio::select! {
        biased;
        seen = &mut client => return seen,
        () = server => {}
    }
    client.await
}

/// Reads the head of a request and nothing of its body.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the rest of the head"));
    }
    String::from_utf8(head).expect("ASCII")
}
