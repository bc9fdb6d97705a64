//! Operations on a connection, plain or TLS, for the servers of this crate.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::patience::PATIENCE;

/// A connection that gives access to its socket, so that it can be reset.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// The underlying socket.
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl<S: Stream> Stream for &mut S {
    fn socket(&self) -> &TcpStream {
        (**self).socket()
    }
}

/// Makes the socket send RST when it is dropped: at once, without sending buffered bytes.
pub(crate) fn reset_on_drop(socket: &TcpStream) {
    // It fails only on a socket that is closed already.
    let _ = socket.set_zero_linger();
}

/// Writes all bytes, and flushes the buffers of TLS.
pub(crate) async fn send(stream: &mut impl Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Sends FIN, then reads and discards the rest: closing with unread bytes would send RST instead.
pub(crate) async fn close_in_order(stream: &mut impl Stream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    // On the heap, so that futures that hold it stay small.
    let mut waste = vec![0; 4096];
    let drain = async { while matches!(stream.read(&mut waste).await, Ok(1..)) {} };
    // A peer that never closes its side must not keep the connection for ever.
    let _ = tokio::time::timeout(PATIENCE, drain).await;
}
