//! The sessions with orchestrators and the executor, made of the parts that all of them share.

use std::sync::Arc;

use rxon::WorkerId;
use rxon::secrets::Secrets;
use rxon::signing::Seal;
use rxon::transport::Connector;
use rxon::transport::http::{HttpConnector, HttpSettings, Token};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::Offer;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::config::parse::TOKEN;
use crate::config::{ConfigError, MultiOrchestratorMode, OrchestratorEntry, Problem, Secret, WorkerConfig};
use crate::delivery::{Delivery, DeliveryCounts, OnIgnored, OutboxSettings};
use crate::execution::counts::Counts;
use crate::execution::{Executor, Origin, Router, Trust, UnknownTasks};
use crate::files::Files;
use crate::peer::cluster::{Cluster, ClusterAddress};
use crate::peer::log::{PeerCounts, PeerLog};
use crate::peer::token::{Renewing, TokenKeeper};
use crate::peer::{Line, Peer};
use crate::session::fleet::Fleet;
use crate::session::{OpenPolls, Session};
use crate::task::progress::ProgressBoard;
use crate::threads::blocking::BlockingThreads;
use crate::worker::error::Error;

/// The parts that all sessions share.
pub(super) struct Wiring<'a> {
    pub(super) config: &'a WorkerConfig,
    pub(super) secrets: Arc<Secrets>,
    pub(super) worker_id: WorkerId,
    pub(super) heartbeat_trigger: Arc<HeartbeatTrigger>,
    pub(super) exchanges: PeerCounts,
    pub(super) results: DeliveryCounts,
    pub(super) fleet: Arc<Fleet>,
    pub(super) senders: TaskTracker,
    pub(super) on_ignored: Option<OnIgnored>,
    /// Replaces HTTP, for tests.
    pub(super) connector: Option<Arc<dyn Connector>>,
}

impl Wiring<'_> {
    pub(super) fn executor(
        &self,
        router: Arc<Router>,
        files: Arc<Files>,
        offer: &Offer,
        counts: Counts,
        stop_asking: &CancellationToken,
    ) -> Arc<Executor> {
        let config = self.config;
        let key = config.orchestrator_secret_key.as_ref().map(Secret::expose);
        Arc::new(Executor {
            worker_id: self.worker_id.clone(),
            time_limit: config.worker_task_timeout,
            strict_events: config.strict_event_validation,
            websockets: config.worker_enable_websockets,
            running: Arc::default(),
            tasks: TaskTracker::new(),
            threads: Arc::new(BlockingThreads::new(config.max_concurrent_tasks)),
            files,
            hot_cache: offer.hot_cache.clone(),
            heartbeat_trigger: self.heartbeat_trigger.clone(),
            counts,
            trust: Trust::new(key, config.require_task_signature),
            unknown: UnknownTasks::new(stop_asking.child_token()),
            router,
        })
    }

    /// Makes the session with one orchestrator, which has one entry, or several if it is a cluster; nothing of it runs yet.
    pub(super) fn session(
        &self,
        orchestrator: OrchestratorIndex,
        entries: &[OrchestratorEntry],
    ) -> Result<Arc<Session>, Error> {
        let log = PeerLog::new(name_of(entries), &self.exchanges);
        let addresses =
            entries.iter().map(|entry| self.address(entry, &log)).collect::<Result<Vec<_>, _>>()?;
        let (addresses, tokens): (Vec<_>, Vec<_>) = addresses.into_iter().unzip();
        let seal = addresses[0].seal.clone();
        let line = |address: &ClusterAddress| Line {
            name: address.name.clone(),
            connector: address.connector.clone(),
        };
        let lines: Vec<_> = addresses.iter().map(line).collect();
        let connector = if let [address] = addresses.as_slice() {
            address.connector.clone()
        } else {
            let takes_turns = self.config.multi_orchestrator_mode == MultiOrchestratorMode::RoundRobin;
            Arc::new(Cluster::new(log.name.clone(), addresses, takes_turns))
        };
        let peer = Peer::with_lines(log, connector, lines, seal);
        let delivery = Delivery::new(
            peer.clone(),
            self.worker_id.clone(),
            self.outbox_settings(),
            self.heartbeat_trigger.clone(),
            self.on_ignored.clone(),
            &self.results,
            self.senders.clone(),
        );
        let progress = Arc::new(ProgressBoard::default());
        let secrets = self.secrets.clone();
        Ok(Arc::new(Session {
            origin: Arc::new(Origin { orchestrator, peer, delivery, progress, _secrets: secrets }),
            fleet: self.fleet.clone(),
            tokens,
            pollers: watch::Sender::new(0),
            open_polls: OpenPolls::default(),
        }))
    }

    /// Makes the connection to one address, with its own token.
    fn address(
        &self,
        entry: &OrchestratorEntry,
        log: &Arc<PeerLog>,
    ) -> Result<(ClusterAddress, Arc<TokenKeeper>), Error> {
        // The token was checked with everything else.
        let token = Token::new(entry.token.expose())
            .map_err(|_| ConfigError::new(vec![Problem::new("WORKER_TOKEN", "***", TOKEN.text)]))?;
        let seal = Seal::new(self.worker_id.clone(), entry.token.expose());
        let connector = match &self.connector {
            Some(connector) => connector.clone(),
            None => self.http(entry, &token)?,
        };
        let eager = entry.url.is_secure() && self.config.tls().identity.cert_path.is_some();
        let tokens = TokenKeeper::new(log.clone(), connector.clone(), token, entry.token.expose(), eager);
        let connector = Arc::new(Renewing { inner: connector, keeper: tokens.clone(), seal: seal.clone() });
        let name = entry.url.to_string().into();
        Ok((ClusterAddress { name, connector, seal, weight: entry.weight }, tokens))
    }

    fn http(&self, entry: &OrchestratorEntry, token: &Token) -> Result<Arc<dyn Connector>, Error> {
        let settings = HttpSettings {
            url: entry.url.clone(),
            worker_id: self.worker_id.clone(),
            token: token.clone(),
            tls: self.config.tls(),
            proxies: self.config.proxies(),
            user_agent: concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")),
            on_unusable_files: Some(|error| {
                tracing::warn!("changed certificates cannot be used, the previous ones stay in use: {error}");
            }),
        };
        // Certificates were checked with everything else, but a file can have changed since.
        let connector = HttpConnector::new(settings)
            .map_err(|error| ConfigError::new(vec![self.config.tls_problem(&error)]))?;
        Ok(Arc::new(connector))
    }

    fn outbox_settings(&self) -> OutboxSettings {
        OutboxSettings {
            quick_tries: u32::try_from(self.config.result_max_retries).unwrap_or(u32::MAX),
            first_delay: self.config.result_retry_initial_delay,
            max_age: self.config.worker_result_max_age,
            resend_ambiguous: self.config.result_resend_ambiguous,
            max_at_once: self.config.max_concurrent_tasks,
            sharers: self.fleet.members.len(),
        }
    }
}

/// The name of an orchestrator in logs, metrics and the spool: that of its cluster, else its address.
pub(super) fn name_of(entries: &[OrchestratorEntry]) -> Arc<str> {
    let entry = &entries[0];
    entry.cluster.clone().unwrap_or_else(|| entry.url.to_string()).into()
}
