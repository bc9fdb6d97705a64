//! The race of a host's addresses for a connection (RFC 8305), and the address that won the last one.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The time after which the next address is tried beside those that have not answered.
const HEAD_START: Duration = Duration::from_millis(250);

/// The address of a host that won the last race. A host may have one that swallows all packets: without memory, each
/// new connection would wait for it.
#[derive(Debug, Default)]
pub(super) struct Winner(Mutex<Option<SocketAddr>>);

impl Winner {
    /// Connects to one of these addresses, the last winner first.
    pub(super) async fn connect(&self, addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = in_order(addresses.collect(), last);
        let (address, socket) = first_of(&addresses).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        Ok(socket)
    }
}

/// Returns the addresses with `first` at the beginning if it is one of them, and otherwise with the two families in turn.
fn in_order(addresses: Vec<SocketAddr>, first: Option<SocketAddr>) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == preferred);
    let (mut preferred, mut others) = (one.drain(..), other.drain(..));
    let mut ordered = Vec::new();
    loop {
        let pair = [preferred.next(), others.next()];
        if pair == [None, None] {
            break;
        }
        ordered.extend(pair.into_iter().flatten());
    }
    if let Some(index) = first.and_then(|first| ordered.iter().position(|address| *address == first)) {
        ordered[..=index].rotate_right(1);
    }
    ordered
}

/// Connects to the address that accepts first. Each is tried when the one before has failed or has had its head start.
async fn first_of(addresses: &[SocketAddr]) -> io::Result<(SocketAddr, TcpStream)> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut racing = FuturesUnordered::new();
    let mut addresses = addresses.iter();
    loop {
        let next = addresses.next();
        if let Some(address) = next {
            racing.push(async { (*address, TcpStream::connect(*address).await) });
        }
        let mut head_start = pin!(sleep(HEAD_START));
        // `None` once the next address is due.
        let ended = poll_fn(|context| match racing.poll_next_unpin(context) {
            Poll::Ready(Some(ended)) => Poll::Ready(Some(ended)),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if addresses.len() == 0 => Poll::Pending,
            Poll::Pending => head_start.as_mut().poll(context).map(|()| None),
        });
        match ended.await {
            Some((address, Ok(socket))) => return Ok((address, socket)),
            Some((_, Err(error))) => failed = error,
            None if racing.is_empty() && addresses.len() == 0 => return Err(failed),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as StdStream};

    use tokio::time::Instant;

    use super::*;

    /// A listener whose backlog is full: it swallows further connections.
    fn silent() -> (SocketAddr, impl Sized) {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        socket.listen(0).expect("a free port");
        let full = TcpListener::from(socket);
        let address = full.local_addr().expect("an address");
        let connect = || StdStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let waiting: Vec<_> = std::iter::from_fn(connect).collect();
        (address, (full, waiting))
    }

    fn open() -> (SocketAddr, TcpListener) {
        let open = TcpListener::bind("127.0.0.1:0").expect("a free port");
        (open.local_addr().expect("an address"), open)
    }

    /// A port on which nothing listens.
    fn refusing() -> SocketAddr {
        open().0
    }

    #[tokio::test(start_paused = true)]
    async fn silent_addresses_cost_their_head_start_and_only_once() {
        let ((silent, _full), (open, _listener)) = (silent(), open());
        let winner = Winner::default();
        for (silences, refused) in [(2, 0), (0, 0)] {
            let begin = Instant::now();
            let addresses = [silent, silent, refusing(), open];
            let socket = winner.connect(addresses.into_iter()).await.expect("the last accepts");
            assert_eq!(socket.peer_addr().expect("an address"), open);
            let expected = silences * HEAD_START;
            let took = begin.elapsed();
            assert!((expected..expected + HEAD_START).contains(&took), "{took:?} {refused}");
        }
    }

    #[tokio::test]
    async fn the_last_error_is_returned_when_all_refuse() {
        let winner = Winner::default();
        let error = winner.connect([refusing(), refusing()].into_iter()).await.expect_err("both refuse");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = winner.connect(std::iter::empty()).await.expect_err("there is none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_alternate_and_the_winner_is_first() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().expect(text)).collect()
        };
        let given = addresses(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
        assert_eq!(in_order(given.clone(), None), turns);
        assert_eq!(in_order(given.clone(), Some("9.9.9.9:1".parse().expect("an address"))), turns);
        let remembered = addresses(&["2.2.2.2:1", "[::1]:1", "1.1.1.1:1", "[::2]:1"]);
        assert_eq!(in_order(given, Some(remembered[0])), remembered);
        assert_eq!(in_order(Vec::new(), Some(turns[0])), []);
    }
}
