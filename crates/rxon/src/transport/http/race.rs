//! The race of a host's addresses for a connection (RFC 8305), and those that lost it lately.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// The time after which the next address is tried beside those that have not answered.
const HEAD_START: Duration = Duration::from_millis(250);

/// The time for which an address that did not answer is tried last.
const MEMORY: Duration = Duration::from_secs(600);

/// The addresses of a host that did not answer in time, or refused. A host may have one that swallows all packets: without
/// memory, each new connection would wait for it. The others keep the order in which the resolver gives them, by which
/// many hosts spread their load.
#[derive(Debug, Default)]
pub(super) struct Losers(Mutex<HashMap<SocketAddr, Instant>>);

impl Losers {
    /// Connects to one of these addresses.
    pub(super) async fn connect(&self, addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
        let mut addresses = in_order(addresses.collect());
        {
            let mut losers = self.lock();
            losers.retain(|address, lost| lost.elapsed() < MEMORY && addresses.contains(address));
            // Those that answered keep their order.
            addresses.sort_by_key(|address| losers.contains_key(address));
        }
        let (index, socket) = first_of(&addresses).await?;
        let mut losers = self.lock();
        losers.extend(addresses[..index].iter().map(|address| (*address, Instant::now())));
        losers.remove(&addresses[index]);
        Ok(socket)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the addresses with the two families in turn, that of the first one first.
fn in_order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_six);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// Connects to the address that accepts first, and returns its index. Each is tried when the one before has failed or has
/// had its head start.
async fn first_of(addresses: &[SocketAddr]) -> io::Result<(usize, TcpStream)> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut racing = FuturesUnordered::new();
    let mut addresses = addresses.iter().enumerate();
    loop {
        if let Some((index, address)) = addresses.next() {
            racing.push(async move { (index, TcpStream::connect(address).await) });
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
            Some((index, Ok(socket))) => return Ok((index, socket)),
            Some((_, Err(error))) => failed = error,
            None if racing.is_empty() && addresses.len() == 0 => return Err(failed),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as StdStream};

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
        let (losers, refusing) = (Losers::default(), refusing());
        let connects = async || {
            let begin = Instant::now();
            let socket =
                losers.connect([silent, refusing, open].into_iter()).await.expect("the last accepts");
            assert_eq!(socket.peer_addr().expect("an address"), open);
            begin.elapsed()
        };
        for head_starts in [1, 0, 0] {
            let (expected, took) = (head_starts * HEAD_START, connects().await);
            assert!((expected..expected + HEAD_START).contains(&took), "{took:?}");
        }
        tokio::time::advance(MEMORY).await;
        assert!(connects().await >= HEAD_START, "it may answer again");
    }

    #[tokio::test]
    async fn the_last_error_is_returned_when_all_refuse() {
        let losers = Losers::default();
        let error = losers.connect([refusing(), refusing()].into_iter()).await.expect_err("both refuse");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = losers.connect(std::iter::empty()).await.expect_err("there is none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_alternate() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().expect(text)).collect()
        };
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(in_order(given), turns);
        assert_eq!(in_order(Vec::new()), []);
    }
}
