//! An orchestrator that is controlled by a test.

mod answer;
mod connection;
mod endpoint;
mod ledger;
mod normal;
mod plan;
mod recorded;
mod reply;
mod request;
mod script;
mod shared;
mod sockets;
mod tasks;

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::Message;

pub use self::answer::Answer;
pub use self::endpoint::Endpoint;
pub use self::recorded::Recorded;
pub use self::script::{Generation, Script};

use self::connection::Connection;
use self::shared::{Shared, Watch};
use self::sockets::Order;
use crate::door::{Arrival, Door};
use crate::patience::{eventually, give_up};

/// A scripted orchestrator on a port of its own.
///
/// Without a script it behaves like an orchestrator of its [`Generation`]: it registers workers, hands out the tasks
/// that the test pushes, and accepts results. [`answer_next`](Self::answer_next) and similar methods change the answer
/// to one request, or to all requests of an endpoint.
///
/// The handle is cheap to clone; when the last clone is dropped, the listener and all connections end.
#[derive(Clone)]
pub struct ScriptedOrchestrator {
    door: Arc<Door>,
    inner: Arc<Shared>,
    scheme: &'static str,
}

impl ScriptedOrchestrator {
    /// Starts an orchestrator of the newer generation on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_with(Script::default()).await
    }

    /// Starts an orchestrator with this script.
    ///
    /// # Panics
    /// If the address cannot be bound.
    #[expect(clippy::unused_async, reason = "it spawns: being async keeps callers inside a runtime")]
    pub async fn start_with(script: Script) -> Self {
        let scheme = if script.tls.is_some() { "https" } else { "http" };
        let bind = script.bind;
        let inner = Arc::new(Shared::new(script));
        let serving = inner.clone();
        let door = Door::open(bind, move |arrival| serve(arrival, serving.clone()));
        let door = door.unwrap_or_else(|error| panic!("cannot listen on {bind}: {error}"));
        Self { door: Arc::new(door), inner, scheme }
    }

    /// The base URL for a worker.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr())
    }

    /// The address that the orchestrator listens on.
    pub fn addr(&self) -> SocketAddr {
        self.door.address()
    }

    /// Offers a task to the poll that has waited longest, or else to the next poll.
    pub fn push_task(&self, task: impl Borrow<Value>) {
        self.push_task_body(task.borrow().to_string());
    }

    /// Offers these bytes as a task, valid or not.
    pub fn push_task_body(&self, raw: impl Into<Bytes>) {
        self.inner.tasks.push(raw.into());
    }

    /// Makes tasks on demand: `source` is called for every poll that finds no waiting task.
    pub fn make_tasks(&self, source: impl FnMut() -> Option<Bytes> + Send + 'static) {
        self.inner.tasks.set_source(Box::new(source));
    }

    /// Calls `on_task` with each task right before it is written to a connection, and `on_result` with each result as soon as
    /// it was read: for benchmarks, which measure the time between. Recording every request would take longer.
    ///
    /// # Panics
    /// If it is called twice.
    pub fn watch(
        &self,
        on_task: impl Fn(&[u8]) + Send + Sync + 'static,
        on_result: impl Fn(&[u8]) + Send + Sync + 'static,
    ) {
        let watch = Watch { on_task: Box::new(on_task), on_result: Box::new(on_result) };
        assert!(self.inner.watch.set(watch).is_ok(), "tasks are watched already");
    }

    /// The number of tasks that no poll has taken yet.
    pub fn waiting_tasks(&self) -> usize {
        self.inner.tasks.ready()
    }

    /// Sets whether an abandoned poll takes the next task, as with the real orchestrators. Off by default.
    pub fn swallow_abandoned_polls(&self, swallow: bool) {
        self.inner.tasks.set_swallow(swallow);
    }

    /// Sets the answer to the next request of an endpoint; several calls queue answers for the following requests. Each
    /// answer is used by the next request whose head arrives, and wins over hooks and
    /// [`answer_always`](Self::answer_always).
    pub fn answer_next(&self, endpoint: Endpoint, answer: Answer) {
        self.inner.plan.once(endpoint, answer);
    }

    /// Sets the answer to every request of an endpoint.
    pub fn answer_always(&self, endpoint: Endpoint, answer: Answer) {
        self.inner.plan.always(endpoint, answer);
    }

    /// Removes the script of an endpoint.
    pub fn answer_normally(&self, endpoint: Endpoint) {
        self.inner.plan.forget(endpoint);
    }

    /// Calls `hook` for every request of an endpoint. If it returns `None`, the next hook decides, then
    /// [`answer_always`](Self::answer_always), then the default.
    pub fn on(&self, endpoint: Endpoint, hook: impl Fn(&Recorded) -> Option<Answer> + Send + Sync + 'static) {
        self.inner.plan.hook(endpoint, Arc::new(hook));
    }

    /// The requests of an endpoint so far, oldest first. Empty if recording is off.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Recorded> {
        self.inner.since(endpoint, 0)
    }

    /// The number of requests of an endpoint, recorded or not.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.inner.ledger.count(endpoint)
    }

    /// Waits until this many requests have arrived, and returns all of them.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with a summary of the requests.
    #[track_caller]
    pub fn wait_for_requests(
        &self,
        endpoint: Endpoint,
        at_least: usize,
    ) -> impl Future<Output = Vec<Recorded>> + Send + use<> {
        let inner = self.inner.clone();
        let ledger = self.inner.clone();
        let enough = move || (ledger.ledger.count(endpoint) >= at_least).then_some(());
        let waiting = self.expect(format!("{at_least} requests of {endpoint:?}"), enough);
        async move {
            waiting.await;
            inner.since(endpoint, 0)
        }
    }

    /// Waits for a request for which `check` is true, earlier requests included, and returns the first.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with a summary of the requests.
    #[track_caller]
    pub fn wait_for<F: Fn(&Recorded) -> bool + Send>(
        &self,
        endpoint: Endpoint,
        check: F,
    ) -> impl Future<Output = Recorded> + Send + use<F> {
        let find =
            self.inner.clone().finder(endpoint, move |request| check(request).then(|| request.clone()));
        self.expect(format!("a matching request of {endpoint:?}"), find)
    }

    /// Waits for the result of a task, and returns its body.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with a summary of the requests.
    #[track_caller]
    pub fn wait_for_result(&self, task_id: &str) -> impl Future<Output = Value> + Send + use<> {
        let wanted = task_id.to_owned();
        let find = self.inner.clone().finder(Endpoint::Result, move |request| {
            let body: Value = serde_json::from_slice(&request.body).ok()?;
            (body["task_id"] == *wanted).then_some(body)
        });
        self.expect(format!("the result of `{task_id}`"), find)
    }

    /// The number of polls that are held and wait for a task.
    pub fn open_polls(&self) -> usize {
        self.inner.tasks.open()
    }

    /// Waits until at least this many polls are held.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with a summary of the requests.
    #[track_caller]
    pub fn wait_for_open_polls(&self, at_least: usize) -> impl Future<Output = ()> + Send + use<> {
        let tasks = self.inner.tasks.clone();
        self.expect(format!("{at_least} open polls"), move || (tasks.open() >= at_least).then_some(()))
    }

    /// Waits until no poll is held.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with a summary of the requests.
    #[track_caller]
    pub fn wait_for_no_open_poll(&self) -> impl Future<Output = ()> + Send + use<> {
        let tasks = self.inner.tasks.clone();
        self.expect("the end of all polls".to_owned(), move || (tasks.open() == 0).then_some(()))
    }

    /// The number of connections accepted since the start.
    pub fn connections_accepted(&self) -> u64 {
        self.door.accepted()
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> usize {
        self.door.connections()
    }

    /// Closes all open connections, in any state. Connections that are not accepted yet stay.
    pub fn drop_connections(&self) {
        self.door.drop_connections();
    }

    /// Refuses connections once this has returned, and keeps the port. Open connections go on.
    pub async fn refuse(&self) {
        self.door.shut().await;
    }

    /// Accepts connections again after [`refuse`](Self::refuse).
    pub async fn accept(&self) {
        self.door.reopen().await;
    }

    /// Forgets the registered workers: their next heartbeats come from unknown workers.
    pub fn forget_workers(&self) {
        self.inner.behaviour.forget_workers();
    }

    /// Returns true if a worker with this id has registered.
    pub fn knows(&self, worker_id: &str) -> bool {
        self.inner.behaviour.knows(worker_id)
    }

    /// The number of open websockets.
    pub fn open_websockets(&self) -> usize {
        self.inner.sockets.count()
    }

    /// Waits until at least this many websockets are open.
    ///
    /// # Panics
    /// After [`PATIENCE`](crate::PATIENCE), with a summary of the requests.
    #[track_caller]
    pub fn wait_for_open_websockets(&self, at_least: usize) -> impl Future<Output = ()> + Send + use<> {
        let inner = self.inner.clone();
        let enough = move || (inner.sockets.count() >= at_least).then_some(());
        self.expect(format!("{at_least} open websockets"), enough)
    }

    /// Sends a command over every open websocket.
    pub fn send_command(&self, command: &Value) {
        self.send_websocket_text(&command.to_string());
    }

    /// Sends any text over every open websocket.
    pub fn send_websocket_text(&self, text: &str) {
        self.inner.sockets.order(Order::Say(Message::text(text)));
    }

    /// Sends a binary message over every open websocket.
    pub fn send_websocket_bytes(&self, bytes: &[u8]) {
        self.inner.sockets.order(Order::Say(Message::binary(bytes.to_vec())));
    }

    /// Closes every open websocket with this code and reason.
    pub fn close_websockets(&self, code: u16, reason: &str) {
        self.inner.sockets.order(Order::Close(code, reason.to_owned()));
    }

    /// The messages from workers over websockets, oldest first. Text that is not JSON is returned as a string.
    pub fn websocket_frames(&self) -> Vec<Value> {
        self.inner.sockets.frames()
    }

    /// Ends the listener and all connections, and waits until they have ended.
    pub async fn stop(&self) {
        self.door.stop().await;
    }

    /// Waits until `check` returns a value, or fails the test at the caller's line.
    #[track_caller]
    fn expect<T: Send, F: FnMut() -> Option<T> + Send>(
        &self,
        wanted: String,
        check: F,
    ) -> impl Future<Output = T> + Send + use<T, F> {
        let caller = Location::caller();
        let inner = self.inner.clone();
        async move {
            match eventually(&inner.changed, check).await {
                Some(found) => found,
                None => give_up(caller, &wanted, &inner.ledger.summary()),
            }
        }
    }
}

impl fmt::Debug for ScriptedOrchestrator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScriptedOrchestrator").field("url", &self.url()).finish_non_exhaustive()
    }
}

async fn serve(arrival: Arrival, inner: Arc<Shared>) {
    let Arrival { stream, number, ended } = arrival;
    let serving = async {
        match inner.tls.clone() {
            None => Connection::new(stream, number, inner).serve().await,
            Some(tls) => {
                // A client that refuses the certificate is not an error of the server.
                if let Ok(stream) = tls.accept(stream).await {
                    Connection::new(stream, number, inner).serve().await;
                }
            }
        }
    };
    ended.run_until_cancelled(serving).await;
}
