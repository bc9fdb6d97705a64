//! A reverse proxy that causes faults.

mod rule;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use self::wire::{MessageHead, Pace, Wire};
use crate::door::{Arrival, Door};
use crate::patience::{eventually, give_up};
use crate::stream::reset_on_drop;

pub use self::rule::{Fault, Rule};

/// A reverse proxy for an HTTP/1.1 server, such as an S3, that causes faults by [`Rule`]. It passes on everything else
/// unchanged, including `Host`, so that signatures stay valid.
///
/// The first rule that matches a request applies; a request without a rule passes.
#[derive(Clone)]
pub struct FaultProxy {
    door: Arc<Door>,
    desk: Arc<FaultState>,
}

/// A request that arrived at the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The method.
    pub method: String,
    /// The path and query as they were on the wire.
    pub target: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The declared length of its body.
    pub length: u64,
    /// The status of the answer, from the server or from a rule; `None` until there is one.
    pub status: Option<u16>,
    /// The number of bytes of the answer's body that passed.
    pub received: u64,
    /// True if a rule applied to the request.
    pub faulty: bool,
}

struct FaultState {
    target: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    passed: Mutex<Vec<Passed>>,
    /// The number of requests under way, and its maximum.
    open: AtomicUsize,
    most: AtomicUsize,
    changed: Notify,
    /// The number of times that held requests were released.
    releases: watch::Sender<u64>,
}

impl FaultProxy {
    /// Starts a proxy in front of `target`, on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is no free port.
    #[expect(clippy::unused_async, reason = "it spawns: being async keeps callers inside a runtime")]
    pub async fn start(target: SocketAddr) -> Self {
        let desk = Arc::new(FaultState {
            target,
            rules: Mutex::default(),
            passed: Mutex::default(),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            changed: Notify::new(),
            releases: watch::Sender::new(0),
        });
        let serving = desk.clone();
        let door = Door::open(([127, 0, 0, 1], 0).into(), move |arrival| serve(arrival, serving.clone()));
        Self { door: Arc::new(door.expect("a free port")), desk }
    }

    /// The address that the proxy listens on.
    pub fn addr(&self) -> SocketAddr {
        self.door.address()
    }

    /// The base URL to use instead of the server's.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Adds a rule after the existing ones.
    pub fn add(&self, rule: Rule) {
        lock(&self.desk.rules).push(rule);
    }

    /// Removes all rules: everything passes.
    pub fn clear(&self) {
        lock(&self.desk.rules).clear();
    }

    /// Releases all requests that are [held](Fault::Hold) now.
    pub fn release(&self) {
        self.desk.releases.send_modify(|releases| *releases += 1);
    }

    /// The requests so far, in the order of arrival.
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.desk.passed).clone()
    }

    /// The number of requests with this method and this text in their target.
    pub fn count(&self, method: &str, text: &str) -> usize {
        self.passed().iter().filter(|passed| passed.method == method && passed.target.contains(text)).count()
    }

    /// The maximum number of requests that were under way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.desk.most.load(Ordering::Acquire)
    }

    /// The number of requests that a rule applied to.
    pub fn faults(&self) -> usize {
        self.passed().iter().filter(|passed| passed.faulty).count()
    }

    /// Waits until there were this many requests with this method and this text in their target.
    ///
    /// # Panics
    /// When the time limit passes, with all requests.
    #[track_caller]
    pub fn wait_for(&self, method: &str, text: &str, count: usize) -> impl Future<Output = ()> {
        let wanted = format!("{count} requests {method} …{text}…");
        let (method, text) = (method.to_owned(), text.to_owned());
        self.wait_until(wanted, move |proxy| proxy.count(&method, &text) >= count)
    }

    /// Waits until rules have applied to this many requests.
    ///
    /// # Panics
    /// When the time limit passes, with all requests.
    #[track_caller]
    pub fn wait_for_faults(&self, count: usize) -> impl Future<Output = ()> {
        self.wait_until(format!("{count} faults"), move |proxy| proxy.faults() >= count)
    }

    #[track_caller]
    fn wait_until(&self, wanted: String, done: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let (caller, proxy) = (Location::caller(), self.clone());
        async move {
            if eventually(&proxy.desk.changed, || done(&proxy).then_some(())).await.is_none() {
                give_up(caller, &wanted, &format!("{:#?}", proxy.passed()));
            }
        }
    }

    /// Resets all connections through the proxy.
    pub fn drop_connections(&self) {
        self.door.drop_connections();
    }

    /// Stops the proxy and ends all connections.
    pub async fn stop(&self) {
        self.door.stop().await;
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultProxy").field("addr", &self.addr()).finish_non_exhaustive()
    }
}

impl FaultState {
    /// Records a request and finds the fault for it.
    fn begin(&self, head: &MessageHead) -> (usize, Option<Fault>) {
        let (method, target, range) = (head.word(0), head.word(1), head.header("range"));
        let fault = {
            let mut rules = lock(&self.rules);
            // A request that one rule does not match may match the next one.
            let mut taking = rules.iter_mut().filter_map(|rule| rule.takes(method, target, range));
            taking.next().cloned()
        };
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        let mut passed = lock(&self.passed);
        passed.push(Passed {
            method: method.to_owned(),
            target: target.to_owned(),
            range: range.map(str::to_owned),
            length: length.unwrap_or_default(),
            status: None,
            received: 0,
            faulty: fault.is_some(),
        });
        self.changed.notify_waiters();
        (passed.len() - 1, fault)
    }

    fn note(&self, number: usize, change: impl FnOnce(&mut Passed)) {
        change(&mut lock(&self.passed)[number]);
        self.changed.notify_waiters();
    }

    fn enter(&self) -> Underway<'_> {
        let open = self.open.fetch_add(1, Ordering::AcqRel) + 1;
        self.most.fetch_max(open, Ordering::AcqRel);
        Underway(self)
    }
}

/// Decrements the number of requests under way, however the request ends.
struct Underway<'a>(&'a FaultState);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(arrival: Arrival, desk: Arc<FaultState>) {
    let Arrival { stream, ended, .. } = arrival;
    let mut client = Wire::new(stream);
    // A reset on one side becomes a reset on the other, as without the proxy.
    if !matches!(ended.run_until_cancelled(serve_client(&mut client, &desk)).await, Some(Ok(()))) {
        reset_on_drop(&client.stream);
    }
}

/// Serves one request after another; an error resets the connection.
async fn serve_client(client: &mut Wire, desk: &FaultState) -> io::Result<()> {
    let mut server: Option<Wire> = None;
    while let Some(head) = client.head().await? {
        let _underway = desk.enter();
        // Before the request is recorded: a test that waits for it may release it at once.
        let mut releases = desk.releases.subscribe();
        let (number, fault) = desk.begin(&head);
        if let Some(Fault::Answer { status, body }) = &fault {
            desk.note(number, |passed| passed.status = Some(*status));
            // The body of the request is not read, so no other request can follow.
            return refuse(client, &head, *status, body).await;
        }
        if matches!(fault, Some(Fault::Hang)) {
            client.drain().await;
            return Ok(());
        }
        if matches!(fault, Some(Fault::Hold)) {
            // The sender lives as long as the desk.
            let _ = releases.changed().await;
        }
        let mut open = match server.take() {
            Some(server) => server,
            None => Wire::new(TcpStream::connect(desk.target).await?),
        };
        if exchange(client, &mut open, &head, fault, (desk, number)).await? {
            return Ok(());
        }
        server = Some(open);
    }
    Ok(())
}

/// Passes on a request and its answer. Returns true if the connection ends with them.
async fn exchange(
    client: &mut Wire,
    server: &mut Wire,
    request: &MessageHead,
    fault: Option<Fault>,
    (desk, number): (&FaultState, usize),
) -> io::Result<bool> {
    let pace = match fault {
        Some(Fault::CutRequest(bytes)) => Pace::Limited(bytes),
        _ => Pace::Full,
    };
    server.stream.write_all(&request.bytes()).await?;
    let sent = client.pass(&mut server.stream, request.length_of_request(), pace).await;
    if sent.is_err() && matches!(fault, Some(Fault::CutRequest(_))) {
        reset_on_drop(&server.stream);
    }
    sent?;
    let mut answer = server.head().await?.ok_or(io::ErrorKind::ConnectionReset)?;
    desk.note(number, |passed| passed.status = answer.word(1).parse().ok());
    let length = answer.length_of_answer(request.word(0));
    let pace = match &fault {
        Some(Fault::LoseAnswer) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::CutAnswer(bytes) | Fault::Stall(bytes)) => Pace::Limited(*bytes),
        Some(Fault::Trickle { bytes, pause }) => Pace::Trickle(*bytes, *pause),
        Some(Fault::Header(name, value)) => {
            answer.set(name, value.as_deref());
            Pace::Full
        }
        Some(Fault::Body(rewriting)) => {
            let body = (rewriting.0)(server.body(length).await?);
            answer.set("content-length", Some(&body.len().to_string()));
            desk.note(number, |passed| passed.received = body.len() as u64);
            client.stream.write_all(&[answer.bytes(), body].concat()).await?;
            return Ok(answer.closes());
        }
        _ => Pace::Full,
    };
    client.stream.write_all(&answer.bytes()).await?;
    let passing = server.pass(&mut client.stream, length, pace).await;
    match passing {
        Ok(received) => desk.note(number, |passed| passed.received = received),
        Err(_) if matches!(fault, Some(Fault::Stall(_))) => {
            client.drain().await;
            return Ok(true);
        }
        Err(error) => return Err(error),
    }
    Ok(answer.closes() || length == wire::Length::Open)
}

/// Answers instead of the server, then reads and discards the rest of the request, so that the client gets the answer.
async fn refuse(client: &mut Wire, request: &MessageHead, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    let body = if request.word(0) == "HEAD" { "" } else { body };
    let head =
        format!("HTTP/1.1 {status} Fault\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n");
    let answer = format!("{head}connection: close\r\n\r\n{body}");
    client.stream.write_all(answer.as_bytes()).await?;
    client.stream.shutdown().await?;
    client.drain().await;
    Ok(())
}
