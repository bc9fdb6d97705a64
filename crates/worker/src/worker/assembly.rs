//! All parts of a worker, made but not started.
//!
//! The configuration is read here and in [`wiring`](super::wiring), and nowhere else: each part gets the options it uses,
//! by name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rxon::transport::Connector;
use rxon::{TaskId, TaskName, WorkerId};
use tokio_util::task::TaskTracker;

use crate::capacity::Offer;
use crate::capacity::checker::{Capacity, CapacityChecker};
use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::slots::Slots;
use crate::capacity::turns::{Precedence, Turns};
use crate::config::{
    ConfigError, MultiOrchestratorMode, OrchestratorEntry, Secret, ShutdownPolls, WorkerConfig, by_cluster,
};
use crate::delivery::{Delivery, DeliveryCounts, OnIgnored};
use crate::execution::counts::Counts;
use crate::execution::{Cause, Executor, Origin};
use crate::files::{Cache, Files, StandaloneFiles, Storage, StorageSettings};
use crate::health::Health;
use crate::health::metrics::Metrics;
use crate::health::watchdog::RuntimeWatchdog;
use crate::peer::log::PeerCounts;
use crate::session::commands::{Commands, OnCommand};
use crate::session::fleet::Fleet;
use crate::session::usage::UsageSource;
use crate::session::{
    Advertised, ConversationParts, ConversationSettings, Ends, PollingSettings, Profile, SkillsHash,
};
use crate::worker::error::Error;
use crate::worker::handle::HandleState;
use crate::worker::hooks::Hooks;
use crate::worker::shutdown::{StopCause, Stopped};
use crate::worker::wiring::{Wiring, name_of};

/// The parts of a worker before they are assembled.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) skill_dependencies: BTreeMap<TaskName, Vec<String>>,
    pub(crate) config: WorkerConfig,
    pub(crate) settings: Settings,
    pub(crate) handle_state: Arc<HandleState>,
    /// Replaces the storage of the configuration, for tests.
    pub(crate) storage: Option<Storage>,
    /// Replaces HTTP, for tests.
    pub(crate) connector: Option<Arc<dyn Connector>>,
}

/// The settings of a builder that need no check beside the tasks.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The limits of groups of tasks.
    pub(crate) limits: BTreeMap<String, usize>,
    pub(crate) worker_type: Option<String>,
    pub(crate) max_concurrent_tasks: Option<usize>,
    pub(crate) capacity_checker: Option<CapacityChecker>,
    pub(crate) on_ignored: Option<OnIgnored>,
    pub(crate) on_command: Option<OnCommand>,
    pub(crate) hooks: Hooks,
}

/// All parts of a worker, made but not started.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) offer: Arc<Offer>,
    pub(crate) executor: Arc<Executor>,
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
    pub(crate) pollers: PollingSettings,
    /// `WORKER_SHUTDOWN_TIMEOUT`.
    pub(crate) shutdown_timeout: Duration,
    /// `WORKER_SHUTDOWN_POLLS`.
    pub(crate) shutdown_polls: ShutdownPolls,
    /// Whether `WORKER_ID` is set: then a successor may have the same id.
    pub(crate) has_explicit_id: bool,
}

impl Assembly {
    /// Makes the parts. Reads certificates; connects to nothing.
    pub(crate) fn new(plan: Plan) -> Result<Self, Error> {
        let Plan { mut config, settings, handle_state, .. } = plan;
        let registry = &handle_state.registry;
        let secrets = Arc::new(config.hold_secrets());
        config.check()?;
        // The builder has checked its own values, which take precedence.
        config.max_concurrent_tasks = settings.max_concurrent_tasks.unwrap_or(config.max_concurrent_tasks);
        config.worker_type = settings.worker_type.unwrap_or(config.worker_type);
        let worker_id = config.known_worker_id().unwrap_or_else(WorkerId::random);
        let orchestrators = by_cluster(config.orchestrators());
        let storage = plan.storage.map_or_else(|| storage(&config), |storage| Ok(Some(storage)))?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let mut metrics = Metrics::default();
        let (folder, id, cache) = (&config.task_files_dir, config.worker_id.as_ref(), cache(&config));
        let files = Arc::new(Files::new(folder, id, cache, storage, &mut metrics.registry));
        let (counts, exchanges, results) = counters(&mut metrics.registry);
        let mode = config.multi_orchestrator_mode;
        let limits: Vec<_> = settings.limits.into_values().collect();
        let slots = Slots::new(config.max_concurrent_tasks, &limits, turns(mode, &orchestrators));
        let heartbeat_trigger = Arc::new(HeartbeatTrigger::new(orchestrators.len()));
        handle_state.hot_cache.connect(heartbeat_trigger.clone());
        let registration_trigger = Arc::new(HeartbeatTrigger::new(orchestrators.len()));
        registry.connect(registration_trigger.clone());
        let profile = profile(&config, worker_id.clone(), handle_state.usage.clone());
        let capacity = Capacity::new(settings.capacity_checker);
        let offer = offer(&config, &handle_state, slots.clone(), capacity, plan.skill_dependencies);
        let names = orchestrators.iter().map(|entries| name_of(entries).to_string()).collect();
        let (ends, senders) = (Ends::default(), TaskTracker::new());
        let commands = Arc::new(Commands::new(settings.on_command));
        let wiring = Wiring {
            config: &config,
            secrets,
            worker_id,
            heartbeat_trigger: heartbeat_trigger.clone(),
            exchanges,
            results,
            fleet: Arc::new(Fleet::new(mode, names, slots)),
            senders: senders.clone(),
            on_ignored: settings.on_ignored,
            connector: plan.connector,
        };
        let executor = wiring.executor(registry.router.clone(), files, &offer, counts, &ends.stop_asking);
        let conversation = |(index, entries): (usize, &Vec<OrchestratorEntry>)| {
            Ok::<_, Error>(ConversationParts {
                session: wiring.session(OrchestratorIndex(index), entries)?,
                profile: profile.clone(),
                offer: offer.clone(),
                running: executor.running.clone(),
                heartbeat_trigger: heartbeat_trigger.clone(),
                registration_trigger: registration_trigger.clone(),
                commands: commands.clone(),
                ends: ends.of_one(),
                settings: conversation_settings(&config),
            })
        };
        let conversations =
            orchestrators.iter().enumerate().map(conversation).collect::<Result<Vec<_>, _>>()?;
        let health = Arc::new(Health {
            offer: offer.clone(),
            sessions: conversations.iter().map(|parts| parts.session.clone()).collect(),
            watchdog: Arc::new(RuntimeWatchdog::new(handle_state.elsewhere.clone())),
            metrics,
        });
        let mut settings = run_settings(&config);
        if mode == MultiOrchestratorMode::Failover && conversations.len() > 1 {
            // The polls of one that is left stay open: one slot is for its successor.
            settings.pollers.reserve = 1;
        }
        Ok(Self { offer, executor, commands, conversations, senders, ends, health, settings })
    }

    /// The end of the worker, with the results that were not acknowledged.
    pub(crate) fn stopped(&self, cause: StopCause, cancelled: Vec<TaskId>) -> Stopped {
        let left_over = self.deliveries().map(|delivery| delivery.left_over());
        let (lost, kept): (Vec<_>, Vec<_>) = left_over.unzip();
        Stopped { cause, cancelled, unacknowledged: lost.concat(), kept: kept.concat() }
    }

    pub(crate) fn origins(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.conversations.iter().map(|parts| &parts.session.origin)
    }

    pub(crate) fn deliveries(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        self.origins().map(|origin| &origin.delivery)
    }
}

/// Ends the worker's tasks, polls and connections when it is dropped.
#[derive(Debug)]
pub(crate) struct EndAll(pub(crate) Arc<Assembly>);

impl Drop for EndAll {
    fn drop(&mut self) {
        self.0.ends.stop_asking.cancel();
        self.0.ends.abandon_polls.cancel();
        self.0.executor.running.cancel_all(&Cause::Shutdown);
        self.0.ends.closing.cancel();
        for delivery in self.0.deliveries() {
            delivery.closed.cancel();
        }
    }
}

/// The counters of tasks, exchanges and results, which are registered for `/metrics`.
fn counters(registry: &mut Registry) -> (Counts, PeerCounts, DeliveryCounts) {
    let (counts, exchanges, results) = (Counts::default(), PeerCounts::default(), DeliveryCounts::default());
    counts.register(registry);
    exchanges.register(registry);
    results.register(registry);
    (counts, exchanges, results)
}

fn profile(config: &WorkerConfig, worker_id: WorkerId, usage: Arc<UsageSource>) -> Arc<Profile> {
    let (worker_type, advertised) = (config.worker_type.clone(), advertised(config));
    let instance = format!("{:016x}", fastrand::u64(..));
    Arc::new(Profile {
        worker_id,
        worker_type,
        instance,
        skills_hash: SkillsHash::default(),
        advertised,
        usage,
    })
}

fn offer(
    config: &WorkerConfig,
    handle_state: &HandleState,
    slots: Arc<Slots>,
    checker: Capacity,
    skill_dependencies: BTreeMap<TaskName, Vec<String>>,
) -> Arc<Offer> {
    Arc::new(Offer {
        checker,
        catalogue: handle_state.registry.catalogue.clone(),
        slots,
        hot_cache: handle_state.hot_cache.clone(),
        skill_dependencies,
        disk: Arc::default(),
        reporting: config.worker_capacity_reporting,
        draining: handle_state.registry.draining.clone(),
    })
}

/// The order in which orchestrators get slots when slots are few.
fn turns(mode: MultiOrchestratorMode, orchestrators: &[Vec<OrchestratorEntry>]) -> Turns {
    let precedence = match mode {
        MultiOrchestratorMode::RoundRobin => Precedence::Weight,
        MultiOrchestratorMode::Failover | MultiOrchestratorMode::Waterfall => Precedence::Rank,
    };
    let weight = |entries: &Vec<OrchestratorEntry>| {
        entries.iter().fold(0, |sum: u32, entry| sum.saturating_add(entry.weight.max(1)))
    };
    Turns::new(precedence, &orchestrators.iter().map(weight).collect::<Vec<_>>())
}

impl StandaloneFiles {
    /// Uses the storage, the cache and `TASK_FILES_DIR` of the configuration. Without `S3_ENDPOINT_URL` there is no
    /// storage. Connects to nothing. Must be called on the tokio runtime that is to run the transfers.
    ///
    /// # Errors
    /// A configuration with problems.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(config: &WorkerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self::over(&config.task_files_dir, cache(config), storage(config)?))
    }
}

fn advertised(config: &WorkerConfig) -> Advertised {
    Advertised {
        resources: config.resources(),
        hostname: config.worker_hostname.clone(),
        ip_address: config.worker_ip_address.clone(),
        installed_software: config.installed_software.clone(),
        installed_models: config.installed_models.clone(),
        installed_artifacts: config.installed_artifacts.clone(),
        cost_per_skill: config.cost_per_skill.clone(),
        s3_config_hash: s3_config_hash(config),
        websockets: config.worker_enable_websockets,
        extra: config.extra_capabilities().clone(),
    }
}

fn cache(config: &WorkerConfig) -> Option<Cache> {
    let directory = config.worker_blob_cache_dir.clone()?;
    Some(Cache { directory, limit: (config.worker_blob_cache_size as u64) << 20 })
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
    Storage::new(settings).map(Some).map_err(|problem| ConfigError::new(vec![problem]))
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
        pollers: PollingSettings {
            poll_timeout: config.task_poll_timeout,
            max_pollers: config.worker_max_pollers,
            reserve: 0,
            error_delay: config.task_poll_error_delay,
            idle_delay: config.idle_poll_delay,
        },
        shutdown_timeout: config.worker_shutdown_timeout,
        shutdown_polls: config.worker_shutdown_polls,
        has_explicit_id: config.worker_id.is_some(),
    }
}
