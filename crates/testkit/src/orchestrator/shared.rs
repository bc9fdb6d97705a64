//! The state that all connections of an orchestrator share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::endpoint::Endpoint;
use super::ledger::Ledger;
use super::normal::Behaviour;
use super::plan::Plan;
use super::recorded::Recorded;
use super::script::Script;
use super::sockets::Sockets;
use super::tasks::Tasks;

/// Everything that a connection needs to answer requests.
pub(crate) struct Shared {
    pub(crate) record: bool,
    pub(crate) hold: Duration,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) behaviour: Behaviour,
    pub(crate) plan: Plan,
    pub(crate) ledger: Ledger,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) sockets: Sockets,
    /// Called at moments that benchmarks measure between.
    pub(crate) watch: OnceLock<Watch>,
    /// Notified of every request, and whenever a poll begins or ends to wait.
    pub(crate) changed: Arc<Notify>,
}

type OnMessage = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Functions that are called at moments of a task's way, with the bytes on the wire.
pub(crate) struct Watch {
    /// Right before a task is written.
    pub(crate) on_task: OnMessage,
    /// When a result was read whole.
    pub(crate) on_result: OnMessage,
}

impl Shared {
    pub(crate) fn new(script: Script) -> Self {
        let changed = Arc::new(Notify::new());
        Self {
            record: script.record,
            hold: script.hold,
            tls: script.tls.map(TlsAcceptor::from),
            behaviour: Behaviour::new(script.generation, script.body_limit),
            plan: Plan::default(),
            ledger: Ledger::new(changed.clone()),
            tasks: Arc::new(Tasks::new(changed.clone())),
            sockets: Sockets::new(changed.clone()),
            watch: OnceLock::new(),
            changed,
        }
    }

    pub(crate) fn since(&self, endpoint: Endpoint, start: usize) -> Vec<Recorded> {
        self.ledger.since(endpoint, start).iter().map(|request| Recorded::clone(request)).collect()
    }

    /// A search that checks every request once, even if it is called many times.
    pub(crate) fn finder<T>(
        self: Arc<Self>,
        endpoint: Endpoint,
        find: impl Fn(&Recorded) -> Option<T>,
    ) -> impl FnMut() -> Option<T> {
        let mut looked_at = 0;
        move || {
            let fresh = self.ledger.since(endpoint, looked_at);
            looked_at += fresh.len();
            fresh.iter().find_map(|request| find(request))
        }
    }
}
