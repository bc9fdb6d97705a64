//! A cluster: instances of one orchestrator that share their storage, each with an address of its own. To everything else
//! it is one orchestrator; an exchange goes to the first address that answers.
//!
//! An exchange that failed is repeated with the next address only where that does no harm: if it was not written, or if it
//! is a registration or a heartbeat, which may be done twice. [`choice`] decides the order.

mod choice;

use std::sync::{Arc, Mutex};

use rxon::secrets::masked;
use rxon::signing::{EVENT_IGNORES, Seal};
use rxon::transport::{Connector, ExchangeFuture, OpenFuture, Operation, Request, Response, Transport};
use rxon::{Error, ErrorKind};
use tokio::time::Instant;

use self::choice::Choice;
use crate::threads::lock;

/// An address of a cluster.
#[derive(Debug)]
pub(crate) struct ClusterAddress {
    /// The address, for logs; without credentials.
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn Connector>,
    /// Made with its own token.
    pub(crate) seal: Seal,
    /// Its share of the polls, with `ROUND_ROBIN`.
    pub(crate) weight: u32,
}

/// The way to a cluster. Clones share what is known of its addresses.
#[derive(Debug, Clone)]
pub(crate) struct Cluster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    addresses: Vec<ClusterAddress>,
    choice: Mutex<Choice>,
}

impl Cluster {
    /// A cluster with these addresses, in the order in which they are preferred; `takes_turns` is true if polls go to all of
    /// them. Messages come sealed with the first one's seal.
    pub(crate) fn new(name: Arc<str>, addresses: Vec<ClusterAddress>, takes_turns: bool) -> Self {
        let weights: Vec<_> = addresses.iter().map(|address| address.weight).collect();
        Self(Arc::new(Shared { name, addresses, choice: Mutex::new(Choice::new(&weights, takes_turns)) }))
    }
}

impl Shared {
    /// The message for an address: sealed anew if it was sent to another one, or sealed with the token of another one.
    fn prepared(&self, index: usize, is_repeated: bool, mut request: Request) -> Result<Request, Error> {
        let is_sealed = !request.body.is_empty() && !request.is_ready_made;
        if is_sealed && (is_repeated || index > 0) {
            let ignored: &[&str] =
                if matches!(request.operation, Operation::Event) { &EVENT_IGNORES } else { &[] };
            request.body = self.addresses[index].seal.again(&request.body, ignored).map_err(|error| {
                Error::new(ErrorKind::Message, "it cannot be sealed again").with_source(error)
            })?;
        }
        Ok(request)
    }

    /// Takes in the end of an exchange.
    fn note(&self, index: usize, began: Instant, result: &Result<Response, Error>) {
        let (cluster, address) = (&self.name, &self.addresses[index].name);
        if let Some(problem) = problem(result) {
            let is_new = lock(&self.choice).on_failure(index, began, Instant::now());
            let problem = masked(&problem);
            if is_new {
                tracing::warn!(
                    %cluster, %address,
                    "an address of the cluster does not answer, the others are used: {problem}"
                );
            }
        } else if result.is_ok() && lock(&self.choice).on_answer(index) {
            tracing::info!(%cluster, %address, "an address of the cluster answers again");
        }
    }
}

/// The reason for which an address is avoided. A poll that was held for too long is none: the orchestrator may hold it.
fn problem(result: &Result<Response, Error>) -> Option<String> {
    match result {
        Ok(response) if matches!(response.status, 502 | 503) => {
            Some(format!("{}: {}", response.status, response.error_text()))
        }
        Err(error) if error.kind() != ErrorKind::Message && !error.is_stale_connection() => {
            Some(error.chain().to_string())
        }
        _ => None,
    }
}

impl Connector for Cluster {
    fn transport(&self) -> Box<dyn Transport> {
        let transports = self.0.addresses.iter().map(|_| None).collect();
        Box::new(ClusterTransport { cluster: self.0.clone(), transports })
    }

    /// Opens a channel to the first address. A websocket belongs to an instance: see [`Line`](super::Line).
    fn channel(&self) -> OpenFuture<'_> {
        self.0.addresses[0].connector.channel()
    }
}

/// A transport to all addresses, with a connection to each that was used.
#[derive(Debug)]
struct ClusterTransport {
    cluster: Arc<Shared>,
    transports: Vec<Option<Box<dyn Transport>>>,
}

impl Transport for ClusterTransport {
    fn exchange(&mut self, request: Request) -> ExchangeFuture<'_> {
        Box::pin(async move {
            let cluster = self.cluster.clone();
            let is_poll = matches!(request.operation, Operation::Poll(_));
            let order = lock(&cluster.choice).order(is_poll, Instant::now());
            let mut last = None;
            for index in order {
                let message = cluster.prepared(index, last.is_some(), request.clone())?;
                let transport = self.transports[index]
                    .get_or_insert_with(|| cluster.addresses[index].connector.transport());
                let began = Instant::now();
                let result = transport.exchange(message).await;
                if !(is_poll && result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout)) {
                    cluster.note(index, began, &result);
                }
                if !may_repeat(&request.operation, &result) {
                    return result;
                }
                last = Some(result);
            }
            last.unwrap_or_else(|| Err(Error::new(ErrorKind::Connect, "the cluster has no address")))
        })
    }
}

/// Whether the exchange is to be repeated with the next address.
fn may_repeat(operation: &Operation, result: &Result<Response, Error>) -> bool {
    let can_be_done_twice = matches!(operation, Operation::Register | Operation::Heartbeat);
    match result {
        Err(error) if error.kind() == ErrorKind::Message => false,
        Err(error) => can_be_done_twice || !error.progress().written,
        Ok(response) => can_be_done_twice && matches!(response.status, 502 | 503),
    }
}

#[cfg(test)]
mod tests;
