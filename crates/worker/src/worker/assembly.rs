//! All parts of a worker, made but not started.

use std::sync::Arc;

use rxon::signing::Seal;
use rxon::transport::Connector;
use rxon::transport::http::{HttpConnector, HttpSettings, Token};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capacity::changes::Changes;
use crate::capacity::checker::Capacity;
use crate::capacity::disk::Disk;
use crate::capacity::slots::Slots;
use crate::capacity::turns::{Precedence, Turns};
use crate::config::{ConfigError, MultiOrchestratorMode, OrchestratorEntry, wrong_token};
use crate::core::Core;
use crate::delivery::{Delivery, OutboxSettings};
use crate::execution::running::Running;
use crate::files::{Files, Storage};
use crate::health::metrics::Metrics;
use crate::health::pulse::Pulse;
use crate::peer::Peer;
use crate::peer::log::PeerLog;
use crate::peer::token::{Renewing, TokenKeeper};
use crate::session::commands::Commands;
use crate::session::fleet::Orchestrators;
use crate::session::machine::Telemetry;
use crate::session::{Ends, OpenPolls, Session, Skills};
use crate::task::progress::ProgressBoard;
use crate::threads::blocking::BlockingThreads;
use crate::worker::Plan;
use crate::worker::error::Error;

/// All parts of a worker, made but not started.
pub(crate) struct Assembly {
    pub(crate) core: Arc<Core>,
    pub(crate) sessions: Vec<Arc<Session>>,
    pub(crate) ends: Ends,
    pub(crate) senders: TaskTracker,
}

impl Assembly {
    /// Makes the parts. Reads certificates; connects to nothing.
    pub(crate) fn new(plan: Plan) -> Result<Self, Error> {
        let secrets = plan.config.hold_secrets();
        plan.config.check()?;
        let (worker_id, worker_type, limit) = (plan.worker_id(), plan.worker_type(), plan.limit());
        let entries = plan.config.orchestrators();
        let mode = plan.config.multi_orchestrator_mode;
        let slots = Slots::new(limit, &plan.group_limits, turns(mode, &entries));
        let names = entries.iter().map(|entry| entry.url.to_string()).collect();
        let orchestrators = Arc::new(Orchestrators::new(mode, names, slots.clone()));
        let changes = Arc::new(Changes::new(entries.len()));
        let hot_cache = plan.controls.hot_cache.clone();
        hot_cache.tell(changes.clone());
        let metrics = Arc::<Metrics>::default();
        let storage = match plan.storage {
            Some(storage) => Some(storage),
            None => Storage::new(&plan.config)?,
        };
        let files = Arc::new(Files::new(&plan.config, storage, metrics.traffic()));
        let core = Arc::new(Core {
            worker_id,
            worker_type,
            on_ignored: plan.on_ignored,
            commands: Commands::new(plan.on_command),
            capacity: Capacity::new(plan.capacity_checker, plan.router.names().cloned()),
            skills: Skills::new(&plan.router, &plan.config),
            telemetry: Telemetry::default(),
            router: plan.router,
            skill_dependencies: plan.skill_dependencies,
            orchestrators,
            slots,
            threads: Arc::new(BlockingThreads::new(limit)),
            files,
            hot_cache,
            changes,
            running: Running::default(),
            warned_of_unsigned: std::sync::Once::new(),
            tasks: TaskTracker::new(),
            metrics,
            pulse: Pulse::new(plan.controls.elsewhere.clone()),
            disk: Disk::default(),
            draining: false.into(),
            drain_began: std::sync::OnceLock::new(),
            closing: CancellationToken::new(),
            config: plan.config,
            _secrets: secrets,
        });
        for warning in core.config.warnings() {
            tracing::warn!("{warning}");
        }
        let senders = TaskTracker::new();
        let sessions = entries
            .iter()
            .enumerate()
            .map(|(who, entry)| session(&core, who, entry, &senders))
            .collect::<Result<_, _>>()?;
        let ends = Ends {
            stop_asking: CancellationToken::new(),
            let_go: CancellationToken::new(),
            await_polls: CancellationToken::new(),
        };
        Ok(Self { core, sessions, ends, senders })
    }
}

/// Who goes first when slots are few.
fn turns(mode: MultiOrchestratorMode, entries: &[OrchestratorEntry]) -> Turns {
    let precedence = match mode {
        MultiOrchestratorMode::RoundRobin => Precedence::Weight,
        MultiOrchestratorMode::Failover | MultiOrchestratorMode::Waterfall => Precedence::Rank,
    };
    Turns::new(precedence, &entries.iter().map(|entry| entry.weight.max(1)).collect::<Vec<_>>())
}

/// One orchestrator's session, of which nothing runs yet. `who` is its place among them.
pub(crate) fn session(
    core: &Arc<Core>,
    who: usize,
    entry: &OrchestratorEntry,
    senders: &TaskTracker,
) -> Result<Arc<Session>, Error> {
    let config = &core.config;
    // Both were checked with everything else; a file can have changed since.
    let token =
        Token::new(entry.token.expose()).map_err(|_| ConfigError::new(vec![wrong_token("WORKER_TOKEN")]))?;
    let settings = HttpSettings {
        url: entry.url.clone(),
        worker_id: core.worker_id.clone(),
        token: token.clone(),
        tls: config.tls(),
        proxies: config.proxies(),
        user_agent: concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")),
        on_unusable_files: Some(|error| {
            tracing::warn!("certificates that have changed cannot be used, those read before go on: {error}");
        }),
    };
    let connector: Arc<dyn Connector> = Arc::new(
        HttpConnector::new(settings).map_err(|error| ConfigError::new(vec![config.tls_problem(&error)]))?,
    );
    let seal = Seal::new(core.worker_id.clone(), entry.token.expose());
    let log = PeerLog::new(entry.url.to_string().into(), core.metrics.peers());
    let eager = entry.url.is_secure() && config.tls().identity.cert_path.is_some();
    let tokens = TokenKeeper::new(log.clone(), connector.clone(), token, entry.token.expose(), eager);
    let connector = Arc::new(Renewing::new(connector, tokens.clone(), seal.clone()));
    Ok(session_over(core, who, log, connector, seal, tokens, senders))
}

/// One orchestrator's session over any connector.
pub(crate) fn session_over(
    core: &Arc<Core>,
    who: usize,
    log: Arc<PeerLog>,
    connector: Arc<dyn Connector>,
    seal: Seal,
    tokens: Arc<TokenKeeper>,
    senders: &TaskTracker,
) -> Arc<Session> {
    let config = &core.config;
    let peer = Peer::new(log, connector, seal);
    let settings = OutboxSettings {
        quick_tries: u32::try_from(config.result_max_retries).unwrap_or(u32::MAX),
        first_delay: config.result_retry_initial_delay,
        max_age: config.worker_result_max_age,
        resend_ambiguous: config.result_resend_ambiguous,
        sharers: core.orchestrators.count(),
    };
    let delivery = Delivery::new(
        peer.clone(),
        core.worker_id.clone(),
        settings,
        core.changes.clone(),
        core.on_ignored.clone(),
        core.metrics.results(),
        senders.clone(),
    );
    Arc::new(Session {
        who,
        orchestrators: core.orchestrators.clone(),
        peer,
        tokens,
        delivery,
        progress: Arc::new(ProgressBoard::default()),
        pollers: watch::Sender::new(0),
        polls: OpenPolls::default(),
    })
}
