//! The table.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::transport::http::OrchestratorUrl;

use super::history::History;
use super::option::{Display, OptionInfo, options};
use super::orchestrators::{self, OrchestratorEntry};
use super::parse::{self, Accepts, Parsed, Wrong, whole};
use super::value::{OptionValue, Value as _};
use super::{Address, CapacityReporting, LogFormat, LogLevel, MultiOrchestratorMode, ShutdownPolls};
use super::{PLACEHOLDER_TOKEN, Secret, default_url};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

options! {
    "Identity" {
        "WORKER_ID", "a random `worker-<uuid>`", Plain, true,
        /// The worker's name. No two live workers may share one.
        worker_id: Option<WorkerId> = None, parse::WORKER_ID;
        "WORKER_TYPE", "`generic-cpu-worker`", Plain, true,
        /// A label for people and for selection.
        worker_type: String = "generic-cpu-worker".to_owned(), parse::TEXT;
    }
    "Orchestrators" {
        "ORCHESTRATOR_URL", "`http://localhost:8080`", Address, true,
        /// Where the orchestrator is, when there is one.
        orchestrator_url: Option<OrchestratorUrl> = Some(default_url()), parse::ORCHESTRATOR;
        "ORCHESTRATORS_CONFIG", "`[]`", Masked, true,
        /// The orchestrators, when there are several: wins over `ORCHESTRATOR_URL`.
        orchestrators_config: Vec<OrchestratorEntry> = Vec::new(), orchestrators::ENTRIES;
        "MULTI_ORCHESTRATOR_MODE", "`FAILOVER`", Plain, true,
        /// How several orchestrators are used.
        multi_orchestrator_mode: MultiOrchestratorMode = MultiOrchestratorMode::Failover, parse::MODE;
        "WORKER_TOKEN", "`your-secret-worker-token`", Masked, true,
        /// The token for all orchestrators that have none of their own.
        worker_token: Secret = Secret::new(PLACEHOLDER_TOKEN), parse::TOKEN;
        "WORKER_INDIVIDUAL_TOKEN", "none", Masked, true,
        /// This worker's own token; wins over `WORKER_TOKEN`.
        worker_individual_token: Option<Secret> = None, parse::OPTIONAL_TOKEN;
    }
    "Security" {
        "TLS_CA_PATH", "the system's certificates", Plain, true,
        /// PEM file of the only certificate authorities that are trusted.
        tls_ca_path: Option<PathBuf> = None, parse::OPTIONAL_PATH;
        "TLS_CERT_PATH", "none", Plain, true,
        /// PEM file of the client certificate.
        tls_cert_path: Option<PathBuf> = None, parse::OPTIONAL_PATH;
        "TLS_KEY_PATH", "none", Plain, true,
        /// PEM file of the client certificate's key.
        tls_key_path: Option<PathBuf> = None, parse::OPTIONAL_PATH;
        "ORCHESTRATOR_SECRET_KEY", "none", Masked, true,
        /// The key that tasks are signed with.
        orchestrator_secret_key: Option<Secret> = None, parse::SECRET;
        "REQUIRE_TASK_SIGNATURE", "`true`", Plain, true,
        /// Whether tasks without a signature are refused, once there is a key.
        require_task_signature: bool = true, parse::BOOLEAN;
    }
    "Proxies" {
        "HTTP_PROXY", "none", Address, true,
        /// The proxy to `http` addresses.
        http_proxy: Option<Address> = None, parse::PROXY;
        "HTTPS_PROXY", "none", Address, true,
        /// The proxy to `https` addresses.
        https_proxy: Option<Address> = None, parse::PROXY;
        "NO_PROXY", "none", Plain, true,
        /// What is reached without a proxy.
        no_proxy: Option<String> = None, parse::NO_PROXY;
    }
    "Capacity" {
        "MAX_CONCURRENT_TASKS", "`10`", Plain, true,
        /// How many tasks run at once.
        max_concurrent_tasks: usize = 10, whole!(1 to 10_000);
        "WORKER_CAPACITY_REPORTING", "`strict`", Plain, true,
        /// How a full worker reports itself.
        worker_capacity_reporting: CapacityReporting = CapacityReporting::Strict, parse::CAPACITY_REPORTING;
        "WORKER_TASK_TIMEOUT", "none", Plain, true,
        /// How long a task may take that has no limit of its own.
        worker_task_timeout: Option<Duration> = None, parse::OPTIONAL_TIMEOUT;
        "COST_PER_SKILL", "`{}`", Plain, true,
        /// What a second of each task costs.
        cost_per_skill: BTreeMap<String, f64> = BTreeMap::new(), parse::COSTS;
        "CPU_CORES", "`4`", Plain, true,
        /// Processor cores of the machine, as told to orchestrators.
        cpu_cores: usize = 4, whole!(0);
        "GPU_MODEL", "none", Plain, true,
        /// The graphics card, as told to orchestrators.
        gpu_model: Option<String> = None, parse::OPTIONAL_TEXT;
        "GPU_VRAM_GB", "`0`", Plain, true,
        /// The graphics card's memory in GB.
        gpu_vram_gb: f64 = 0.0, parse::GIGABYTES;
        "INSTALLED_SOFTWARE", "`{\"python\": \"3.9\"}`", Plain, true,
        /// Software and its versions, as told to orchestrators.
        installed_software: BTreeMap<String, String> = BTreeMap::from([("python".to_owned(), "3.9".to_owned())]), parse::SOFTWARE;
        "INSTALLED_MODELS", "`[]`", Plain, true,
        /// Models on disk, as told to orchestrators.
        installed_models: Vec<InstalledModel> = Vec::new(), parse::MODELS;
    }
    "Heartbeats and commands" {
        "HEARTBEAT_INTERVAL", "`15`", Plain, true,
        /// Time between heartbeats.
        heartbeat_interval: Duration = secs(15.0), parse::INTERVAL;
        "WORKER_HEARTBEAT_DEBOUNCE_DELAY", "`0.1`", Plain, true,
        /// How long after the last of a burst of changes a further heartbeat is sent.
        worker_heartbeat_debounce_delay: Duration = secs(0.1), parse::DELAY;
        "WORKER_TELEMETRY_DEADBAND", "`5`", Plain, true,
        /// By how much the load of the processors (in points) or the memory in use (in percent) must change to be told again.
        worker_telemetry_deadband: f64 = 5.0, parse::PERCENT;
        "WORKER_TELEMETRY_FORCE_INTERVAL", "`60`", Plain, true,
        /// After so long they are told again whatever they are.
        worker_telemetry_force_interval: Duration = secs(60.0), parse::DELAY;
        "WORKER_ENABLE_WEBSOCKETS", "`false`", Plain, true,
        /// Whether commands are received over a websocket.
        worker_enable_websockets: bool = false, parse::BOOLEAN;
        "STRICT_EVENT_VALIDATION", "`true`", Plain, true,
        /// Whether events that a task does not declare are refused, where it declares others.
        strict_event_validation: bool = true, parse::BOOLEAN;
    }
    "Polling" {
        "TASK_POLL_TIMEOUT", "`30`", Plain, true,
        /// How long an orchestrator may hold a poll; ours is given up 5 s later.
        task_poll_timeout: Duration = secs(30.0), parse::TIMEOUT;
        "TASK_POLL_ERROR_DELAY", "`5.0`", Plain, true,
        /// Delay after a failed poll; it doubles while they fail, to 60.
        task_poll_error_delay: Duration = secs(5.0), parse::DELAY;
        "IDLE_POLL_DELAY", "`0.01`", Plain, true,
        /// Delay after a poll that was answered at once with nothing.
        idle_poll_delay: Duration = secs(0.01), parse::DELAY;
        "WORKER_MAX_POLLERS", "`8`", Plain, true,
        /// How many polls at most are open at once, per orchestrator.
        worker_max_pollers: usize = 8, whole!(1 to 1_000);
    }
    "Results" {
        "RESULT_MAX_RETRIES", "`5`", Plain, true,
        /// Quick tries to hand in a result; after these it is kept and offered every 30 s.
        result_max_retries: usize = 5, whole!(0);
        "RESULT_RETRY_INITIAL_DELAY", "`1.0`", Plain, true,
        /// Delay before the second try; it doubles from try to try.
        result_retry_initial_delay: Duration = secs(1.0), parse::DELAY;
        "WORKER_RESULT_MAX_AGE", "`86400`", Plain, true,
        /// After how long an unacknowledged result is given up.
        worker_result_max_age: Duration = secs(86_400.0), parse::TIMEOUT;
        "RESULT_RESEND_AMBIGUOUS", "`true`", Plain, true,
        /// Whether a result that an older orchestrator may have got is sent to it again.
        result_resend_ambiguous: bool = true, parse::BOOLEAN;
        "WORKER_OUTBOX_DIR", "none", Plain, true,
        /// The directory in which unacknowledged results survive a crash.
        worker_outbox_dir: Option<PathBuf> = None, parse::OPTIONAL_PATH;
    }
    "Shutdown" {
        "WORKER_SHUTDOWN_TIMEOUT", "`25`", Plain, true,
        /// How long running tasks may take to finish at shutdown.
        worker_shutdown_timeout: Duration = secs(25.0), parse::DELAY;
        "WORKER_SHUTDOWN_POLLS", "`auto`", Plain, true,
        /// What becomes of polls that are open at shutdown.
        worker_shutdown_polls: ShutdownPolls = ShutdownPolls::Auto, parse::SHUTDOWN_POLLS;
    }
    "Files" {
        "TASK_FILES_DIR", "`/tmp/payloads`", Plain, true,
        /// The directory of the tasks' files.
        task_files_dir: PathBuf = PathBuf::from("/tmp/payloads"), parse::PATH;
        "S3_ENDPOINT_URL", "none", Address, true,
        /// The address of the S3 storage.
        s3_endpoint_url: Option<Address> = None, parse::STORAGE;
        "S3_ACCESS_KEY", "none", Masked, true,
        /// The access key of the S3 storage.
        s3_access_key: Option<Secret> = None, parse::STORAGE_KEY;
        "S3_SECRET_KEY", "none", Masked, true,
        /// The secret key of the S3 storage.
        s3_secret_key: Option<Secret> = None, parse::STORAGE_KEY;
        "S3_DEFAULT_BUCKET", "`avtomatika-payloads`", Plain, true,
        /// The bucket that results are uploaded to.
        s3_default_bucket: String = "avtomatika-payloads".to_owned(), parse::TEXT;
        "S3_REGION", "`us-east-1`", Plain, true,
        /// The region of the S3 storage.
        s3_region: String = "us-east-1".to_owned(), parse::REGION;
        "WORKER_BLOB_CACHE_DIR", "none", Plain, true,
        /// The directory in which large inputs are kept that come again.
        worker_blob_cache_dir: Option<PathBuf> = None, parse::OPTIONAL_PATH;
        "WORKER_BLOB_CACHE_SIZE", "`10240`", Plain, true,
        /// How many MiB may be in it.
        worker_blob_cache_size: usize = 10_240, whole!(1);
    }
    "Health server" {
        "WORKER_HOST", "`0.0.0.0`", Plain, true,
        /// The address the health server listens on.
        worker_host: IpAddr = Ipv4Addr::UNSPECIFIED.into(), parse::HOST;
        "WORKER_PORT", "`8083`", Plain, true,
        /// The port of the health server; 0 for any that is free.
        worker_port: u16 = 8083, parse::PORT;
    }
    "Log" {
        "LOG_FORMAT", "`text`", Plain, true,
        /// How log lines look.
        log_format: LogFormat = LogFormat::Text, parse::LOG_FORMAT;
        "LOG_LEVEL", "`info`", Plain, true,
        /// From which level on log lines are written.
        log_level: LogLevel = LogLevel::INFO, parse::LOG_LEVEL;
    }
}
