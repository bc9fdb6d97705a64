//! All parts of a worker, made but not started.
//!
//! The configuration is read here and nowhere else: each part gets the options it uses, by name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::GpuInfo;
use rxon::secrets::Secrets;
use rxon::signing::Seal;
use rxon::transport::Connector;
use rxon::transport::http::{HttpConnector, HttpSettings, Token};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::capacity::Offer;
use crate::capacity::checker::Capacity;
use crate::capacity::disk::Disk;
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::slots::Slots;
use crate::capacity::turns::{Precedence, Turns};
use crate::config::{
    ConfigError, MultiOrchestratorMode, OrchestratorEntry, Secret, ShutdownPolls, WorkerConfig, wrong_token,
};
use crate::delivery::{Delivery, DeliveryCounts, OnIgnored, OutboxSettings};
use crate::execution::counts::Counts;
use crate::execution::origin::Origin;
use crate::execution::running::Running;
use crate::execution::{ExecutionSettings, Executor, Trust};
use crate::files::{CacheSettings, Files, FilesSettings, InvalidStorage, Storage, StorageSettings};
use crate::health::Health;
use crate::health::metrics::Metrics;
use crate::health::pulse::Pulse;
use crate::peer::Peer;
use crate::peer::log::{PeerCounts, PeerLog};
use crate::peer::token::{Renewing, TokenKeeper};
use crate::session::commands::Commands;
use crate::session::fleet::Orchestrators;
use crate::session::{
    Advertised, ConversationParts, ConversationSettings, Ends, OpenPolls, PollerSettings, PollingSettings,
    Profile, Session,
};
use crate::task::progress::ProgressBoard;
use crate::threads::blocking::BlockingThreads;
use crate::worker::error::Error;
use crate::worker::plan::Plan;

/// All parts of a worker, made but not started.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) offer: Arc<Offer>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) changes: Arc<HeartbeatTrigger>,
    pub(crate) commands: Arc<Commands>,
    /// One for each orchestrator.
    pub(crate) conversations: Vec<ConversationParts>,
    /// The tasks that send results.
    pub(crate) senders: TaskTracker,
    pub(crate) ends: Ends,
    pub(crate) health: Arc<Health>,
    pub(crate) settings: RunSettings,
}

/// The options of the run itself.
#[derive(Debug)]
pub(crate) struct RunSettings {
    /// `WORKER_HOST:WORKER_PORT`.
    pub(crate) health_address: SocketAddr,
    /// `WORKER_OUTBOX_DIR`.
    pub(crate) outbox_dir: Option<PathBuf>,
    /// `WORKER_RESULT_MAX_AGE`.
    pub(crate) result_max_age: Duration,
    /// The folders whose disks must have space.
    pub(crate) watched_folders: Vec<PathBuf>,
    pub(crate) pollers: PollerSettings,
    pub(crate) shutdown: ShutdownSettings,
}

/// The options of the worker's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShutdownSettings {
    /// `WORKER_SHUTDOWN_TIMEOUT`.
    pub(crate) timeout: Duration,
    /// `WORKER_SHUTDOWN_POLLS`.
    pub(crate) polls: ShutdownPolls,
    /// Whether `WORKER_ID` is set: then a successor may have the same id.
    pub(crate) has_explicit_id: bool,
}

impl Assembly {
    /// Makes the parts. Reads certificates; connects to nothing.
    pub(crate) fn new(mut plan: Plan) -> Result<Self, Error> {
        let config = plan.config.clone();
        let secrets = Arc::new(config.hold_secrets());
        config.check()?;
        let worker_id = plan.worker_id();
        let entries = config.orchestrators();
        let storage = match plan.storage.take() {
            Some(storage) => Some(storage),
            None => storage(&config)?,
        };
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let mut metrics = Metrics::default();
        let files = Arc::new(Files::new(files_settings(&config), storage, metrics.traffic()));
        let mode = config.multi_orchestrator_mode;
        let slots = Slots::new(plan.limit(), &plan.group_limits, turns(mode, &entries));
        let changes = Arc::new(HeartbeatTrigger::new(entries.len()));
        plan.handle_state.hot_cache.connect(changes.clone());
        let skills = plan.catalogue.skills();
        let profile = Profile::new(worker_id.clone(), plan.worker_type(), skills, advertised(&config));
        let offer = offer(&mut plan, slots.clone());
        let executor = executor(&mut plan, worker_id.clone(), files, changes.clone(), &mut metrics);
        let (exchanges, results) = (PeerCounts::default(), DeliveryCounts::default());
        exchanges.register(metrics.registry());
        results.register(metrics.registry());
        let names = entries.iter().map(|entry| entry.url.to_string()).collect();
        let (ends, senders) = (Ends::default(), TaskTracker::new());
        let wiring = Wiring {
            config: &config,
            secrets,
            worker_id,
            changes: changes.clone(),
            exchanges,
            results,
            orchestrators: Arc::new(Orchestrators::new(mode, names, slots)),
            senders: senders.clone(),
            on_ignored: plan.on_ignored,
            connector: plan.connector,
        };
        let (profile, commands) = (Arc::new(profile), Arc::new(Commands::new(plan.on_command)));
        let conversation = |(index, entry)| {
            Ok::<_, Error>(ConversationParts {
                session: wiring.session(index, entry)?,
                profile: profile.clone(),
                offer: offer.clone(),
                running: executor.running.clone(),
                changes: changes.clone(),
                commands: commands.clone(),
                ends: ends.of_one(),
                settings: conversation_settings(&config),
            })
        };
        let conversations = entries.iter().enumerate().map(conversation).collect::<Result<Vec<_>, _>>()?;
        let sessions = conversations.iter().map(|parts| parts.session.clone()).collect();
        let pulse = Arc::new(Pulse::new(plan.handle_state.elsewhere.clone()));
        let health = Arc::new(Health { offer: offer.clone(), sessions, pulse, metrics });
        let settings = run_settings(&config);
        Ok(Self { offer, executor, changes, commands, conversations, senders, ends, health, settings })
    }

    /// The sessions with all orchestrators.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.conversations.iter().map(|parts| parts.session.clone()).collect()
    }
}

fn offer(plan: &mut Plan, slots: Arc<Slots>) -> Arc<Offer> {
    let catalogue = std::mem::take(&mut plan.catalogue);
    Arc::new(Offer {
        checker: Capacity::new(plan.capacity_checker.take(), catalogue.names().cloned()),
        catalogue,
        slots,
        hot_cache: plan.handle_state.hot_cache.clone(),
        skill_dependencies: std::mem::take(&mut plan.skill_dependencies),
        disk: Arc::new(Disk::default()),
        reporting: plan.config.worker_capacity_reporting,
        draining: false.into(),
    })
}

fn executor(
    plan: &mut Plan,
    worker_id: WorkerId,
    files: Arc<Files>,
    changes: Arc<HeartbeatTrigger>,
    metrics: &mut Metrics,
) -> Arc<Executor> {
    let counts = Counts::default();
    counts.register(metrics.registry());
    let config = &plan.config;
    let key = config.orchestrator_secret_key.as_ref().map(Secret::expose);
    Arc::new(Executor {
        settings: ExecutionSettings {
            worker_id,
            time_limit: config.worker_task_timeout,
            strict_events: config.strict_event_validation,
            websockets: config.worker_enable_websockets,
        },
        running: Arc::new(Running::default()),
        tasks: TaskTracker::new(),
        threads: Arc::new(BlockingThreads::new(plan.limit())),
        files,
        hot_cache: plan.handle_state.hot_cache.clone(),
        changes,
        counts,
        trust: Trust::new(key, config.require_task_signature),
        router: std::mem::take(&mut plan.router),
    })
}

/// The order in which orchestrators get slots when slots are few.
fn turns(mode: MultiOrchestratorMode, entries: &[OrchestratorEntry]) -> Turns {
    let precedence = match mode {
        MultiOrchestratorMode::RoundRobin => Precedence::Weight,
        MultiOrchestratorMode::Failover | MultiOrchestratorMode::Waterfall => Precedence::Rank,
    };
    Turns::new(precedence, &entries.iter().map(|entry| entry.weight.max(1)).collect::<Vec<_>>())
}

fn advertised(config: &WorkerConfig) -> Advertised {
    Advertised {
        cpu_cores: config.cpu_cores,
        gpu: config.gpu_model.clone().map(|model| GpuInfo { model, vram_gb: config.gpu_vram_gb }),
        installed_software: config.installed_software.clone(),
        installed_models: config.installed_models.clone(),
        cost_per_skill: config.cost_per_skill.clone(),
        s3_config_hash: s3_config_hash(config),
        websockets: config.worker_enable_websockets,
        extra: config.extra_capabilities().clone(),
    }
}

fn files_settings(config: &WorkerConfig) -> FilesSettings {
    let cache = config.worker_blob_cache_dir.clone();
    FilesSettings {
        directory: config.task_files_dir.clone(),
        worker_id: config.worker_id.clone(),
        cache: cache.map(|directory| CacheSettings {
            directory,
            limit: (config.worker_blob_cache_size as u64) << 20,
        }),
    }
}

/// Returns the storage at `S3_ENDPOINT_URL`; None if it is not set.
fn storage(config: &WorkerConfig) -> Result<Option<Storage>, ConfigError> {
    let Some(endpoint) = config.s3_endpoint_url.clone() else { return Ok(None) };
    // The check of the configuration refuses one key without the other.
    let given = |key: &Option<Secret>| key.clone().filter(|key| !key.is_empty());
    let settings = StorageSettings {
        endpoint,
        keys: given(&config.s3_access_key).zip(given(&config.s3_secret_key)),
        bucket: config.s3_default_bucket.clone(),
        region: config.s3_region.clone(),
        tls_ca_path: config.tls_ca_path.clone(),
        proxies: config.proxies(),
    };
    let problem = |invalid| match invalid {
        InvalidStorage::Option(problem) => problem,
        InvalidStorage::Certificates(error) => config.tls_problem(&error),
    };
    Storage::new(settings).map(Some).map_err(|invalid| ConfigError::new(vec![problem(invalid)]))
}

/// Equal for workers that use the same storage; the newer orchestrator warns when they differ (1.0b17).
fn s3_config_hash(config: &WorkerConfig) -> Option<String> {
    let (endpoint, key) = (config.s3_endpoint_url.as_ref()?, config.s3_access_key.as_ref()?);
    let parts = [endpoint.expose(), key.expose(), &config.s3_default_bucket];
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    Some(rxon::signing::s3_config_hash(parts))
}

fn conversation_settings(config: &WorkerConfig) -> ConversationSettings {
    ConversationSettings {
        // An orchestrator that others can replace is looked for more often.
        max_registration_delay: match config.multi_orchestrator_mode {
            MultiOrchestratorMode::Failover => Duration::from_secs(10),
            _ => Duration::from_secs(60),
        },
        heartbeat_interval: config.heartbeat_interval,
        heartbeat_debounce: config.worker_heartbeat_debounce_delay,
        telemetry_deadband: config.worker_telemetry_deadband,
        telemetry_force_interval: config.worker_telemetry_force_interval,
    }
}

fn run_settings(config: &WorkerConfig) -> RunSettings {
    let watched = [Some(&config.task_files_dir), config.worker_outbox_dir.as_ref()];
    RunSettings {
        health_address: SocketAddr::new(config.worker_host, config.worker_port),
        outbox_dir: config.worker_outbox_dir.clone(),
        result_max_age: config.worker_result_max_age,
        watched_folders: watched.into_iter().flatten().cloned().collect(),
        pollers: PollerSettings {
            poll_timeout: config.task_poll_timeout,
            polling: PollingSettings {
                max_pollers: config.worker_max_pollers,
                error_delay: config.task_poll_error_delay,
                idle_delay: config.idle_poll_delay,
            },
        },
        shutdown: ShutdownSettings {
            timeout: config.worker_shutdown_timeout,
            polls: config.worker_shutdown_polls,
            has_explicit_id: config.worker_id.is_some(),
        },
    }
}

/// What all sessions share.
struct Wiring<'a> {
    config: &'a WorkerConfig,
    secrets: Arc<Secrets>,
    worker_id: WorkerId,
    changes: Arc<HeartbeatTrigger>,
    exchanges: PeerCounts,
    results: DeliveryCounts,
    orchestrators: Arc<Orchestrators>,
    senders: TaskTracker,
    on_ignored: Option<OnIgnored>,
    /// Replaces HTTP, for tests.
    connector: Option<Arc<dyn Connector>>,
}

impl Wiring<'_> {
    /// The session with one orchestrator, of which nothing runs yet. `index` is its place among them.
    fn session(&self, index: usize, entry: &OrchestratorEntry) -> Result<Arc<Session>, Error> {
        // The token was checked with everything else.
        let token = Token::new(entry.token.expose())
            .map_err(|_| ConfigError::new(vec![wrong_token("WORKER_TOKEN")]))?;
        let seal = Seal::new(self.worker_id.clone(), entry.token.expose());
        let log = PeerLog::new(entry.url.to_string().into(), &self.exchanges);
        let connector = match &self.connector {
            Some(connector) => connector.clone(),
            None => self.http(entry, &token)?,
        };
        let eager = entry.url.is_secure() && self.config.tls().identity.cert_path.is_some();
        let tokens = TokenKeeper::new(log.clone(), connector.clone(), token, entry.token.expose(), eager);
        let connector = Arc::new(Renewing { inner: connector, keeper: tokens.clone(), seal: seal.clone() });
        let peer = Peer::new(log, connector, seal);
        let delivery = Delivery::new(
            peer.clone(),
            self.worker_id.clone(),
            self.outbox_settings(),
            self.changes.clone(),
            self.on_ignored.clone(),
            &self.results,
            self.senders.clone(),
        );
        let progress = Arc::new(ProgressBoard::default());
        let secrets = self.secrets.clone();
        Ok(Arc::new(Session {
            origin: Arc::new(Origin { orchestrator: index, peer, delivery, progress, _secrets: secrets }),
            orchestrators: self.orchestrators.clone(),
            tokens,
            pollers: watch::Sender::new(0),
            polls: OpenPolls::default(),
        }))
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
            sharers: self.orchestrators.count(),
        }
    }
}
