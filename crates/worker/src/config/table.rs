//! The table of options.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::{Artifact, Device, InstalledModel};
use rxon::transport::http::OrchestratorUrl;

use super::choices::{CapacityReporting, LogFormat, LogLevel, MultiOrchestratorMode, ShutdownPolls};
use super::option::{History, OptionInfo, initial, options};
use super::orchestrators::{self, OrchestratorEntry};
use super::parse::{self, Parsed, Wrong, one_of, whole};
use super::secret::{Address, Secret, Visibility};
use super::value::{OptionValue, Setting};

/// The default of `WORKER_TOKEN`, as in the reference. A worker that starts with it logs a warning.
pub const PLACEHOLDER_TOKEN: &str = "your-secret-worker-token";

pub(super) fn find(variable: &str) -> Option<&'static OptionInfo> {
    OPTIONS.iter().find(|option| option.variable == variable)
}

options! {
    "Identity" {
        "WORKER_ID", unset "a random `worker-<uuid>`", Plain,
        /// The name of the worker. No two live workers may have the same one.
        worker_id: Option<WorkerId>, parse::WORKER_ID;
        "WORKER_TYPE", "generic-cpu-worker", Plain,
        /// A label for people, and for the selection of workers.
        worker_type: String, parse::TEXT;
        "WORKER_HOSTNAME", unset "the machine's name", Plain,
        /// The host name, as reported to orchestrators.
        worker_hostname: Option<String>, parse::TEXT;
        "WORKER_IP_ADDRESS", unset "the machine's address", Plain,
        /// The IP address, as reported to orchestrators.
        worker_ip_address: Option<String>, parse::TEXT;
    }
    "Orchestrators" {
        "ORCHESTRATOR_URL", "http://localhost:8080", Address,
        /// The address of the orchestrator, when there is only one.
        orchestrator_url: Option<OrchestratorUrl>, parse::ORCHESTRATOR;
        "ORCHESTRATORS_CONFIG", "[]", MaskedEntries,
        /// The list of orchestrators, when there are several. Takes precedence over the variable `ORCHESTRATOR_URL`.
        orchestrators_config: Vec<OrchestratorEntry>, orchestrators::ENTRIES;
        "MULTI_ORCHESTRATOR_MODE", "FAILOVER", Plain,
        /// How several orchestrators are used.
        multi_orchestrator_mode: MultiOrchestratorMode, one_of::<MultiOrchestratorMode>();
        "WORKER_TOKEN", "your-secret-worker-token", Masked,
        /// The token for every orchestrator that has no token of its own.
        worker_token: Secret, parse::TOKEN;
        "WORKER_INDIVIDUAL_TOKEN", unset "none", Masked,
        /// The token of this worker alone. Takes precedence over the variable `WORKER_TOKEN`.
        worker_individual_token: Option<Secret>, parse::TOKEN;
    }
    "Security" {
        "TLS_CA_PATH", unset "the system's certificates", Plain,
        /// The PEM file of the only certificates that are trusted: of authorities, or of the server itself.
        tls_ca_path: Option<PathBuf>, parse::PATH;
        "TLS_CERT_PATH", unset "none", Plain,
        /// The PEM file of the client certificate.
        tls_cert_path: Option<PathBuf>, parse::PATH;
        "TLS_KEY_PATH", unset "none", Plain,
        /// The PEM file of the client certificate's key.
        tls_key_path: Option<PathBuf>, parse::PATH;
        "ORCHESTRATOR_SECRET_KEY", unset "none", Masked,
        /// The key with which orchestrators sign tasks. Also read from the variable `SECRET_KEY`.
        orchestrator_secret_key: Option<Secret>, parse::SECRET;
        "REQUIRE_TASK_SIGNATURE", "true", Plain,
        /// Whether unsigned tasks are refused, once `ORCHESTRATOR_SECRET_KEY` is set.
        require_task_signature: bool, one_of::<bool>();
    }
    "Proxies" {
        "HTTP_PROXY", unset "none", Address,
        /// The proxy for `http` addresses.
        http_proxy: Option<Address>, parse::PROXY;
        "HTTPS_PROXY", unset "none", Address,
        /// The proxy for `https` addresses.
        https_proxy: Option<Address>, parse::PROXY;
        "NO_PROXY", unset "none", Plain,
        /// The hosts that are reached without a proxy.
        no_proxy: Option<String>, parse::NO_PROXY;
    }
    "Capacity" {
        "MAX_CONCURRENT_TASKS", "10", Plain,
        /// The maximum number of tasks that run at once.
        max_concurrent_tasks: usize, parse::CONCURRENT_TASKS;
        "WORKER_CAPACITY_REPORTING", "strict", Plain,
        /// The status that a full worker reports.
        worker_capacity_reporting: CapacityReporting, one_of::<CapacityReporting>();
        "WORKER_TASK_TIMEOUT", unset "none", Plain,
        /// The time limit of tasks that have no limit of their own.
        worker_task_timeout: Option<Duration>, parse::TIMEOUT;
        "COST_PER_SKILL", "{}", Plain,
        /// The cost of each task per second.
        cost_per_skill: BTreeMap<String, f64>, parse::COSTS;
        "CPU_CORES", "4", Plain,
        /// The number of processor cores, as reported to orchestrators.
        cpu_cores: usize, whole!(at least 0);
        "GPU_MODEL", unset "none", Plain,
        /// The graphics card, as reported to orchestrators.
        gpu_model: Option<String>, parse::TEXT;
        "GPU_VRAM_GB", "0", Plain,
        /// The memory of the graphics card in GB, as reported to orchestrators.
        gpu_vram_gb: f64, parse::GIGABYTES;
        "GPU_ID", "0", Plain,
        /// The id of the graphics card, as reported to orchestrators.
        gpu_id: String, parse::TEXT;
        "RAM_GB", unset "the machine's memory", Plain,
        /// The memory of the machine in GB, as reported to orchestrators; 0 for the machine's own.
        ram_gb: Option<f64>, parse::GIGABYTES;
        "WORKER_DEVICES", "[]", Plain,
        /// The computing devices beside the graphics card of `GPU_MODEL`, as reported to orchestrators.
        worker_devices: Vec<Device>, parse::DEVICES;
        "INSTALLED_SOFTWARE", "{\"python\": \"3.9\"}", Plain,
        /// The installed software and its versions, as reported to orchestrators.
        installed_software: BTreeMap<String, String>, parse::SOFTWARE;
        "INSTALLED_MODELS", "[]", Plain,
        /// The models on disk, as reported to orchestrators.
        installed_models: Vec<InstalledModel>, parse::MODELS;
        "INSTALLED_ARTIFACTS", "[]", Plain,
        /// The artifacts on disk beside the models, as reported to orchestrators.
        installed_artifacts: Vec<Artifact>, parse::ARTIFACTS;
    }
    "Heartbeats and commands" {
        "HEARTBEAT_INTERVAL", "15", Plain,
        /// The time between heartbeats.
        heartbeat_interval: Duration, parse::INTERVAL;
        "WORKER_HEARTBEAT_DEBOUNCE_DELAY", "0.1", Plain,
        /// The delay between the last of a burst of changes and the extra heartbeat that reports them.
        worker_heartbeat_debounce_delay: Duration, parse::DELAY;
        "WORKER_TELEMETRY_DEADBAND", "5", Plain,
        /// The smallest change of the processors' load (in percentage points) or of the memory in use (in percent) that is reported.
        worker_telemetry_deadband: f64, parse::PERCENT;
        "WORKER_TELEMETRY_FORCE_INTERVAL", "60", Plain,
        /// The time after which load and memory are reported even without such a change.
        worker_telemetry_force_interval: Duration, parse::DELAY;
        "WORKER_ENABLE_WEBSOCKETS", "false", Plain,
        /// Whether commands are received over a websocket.
        worker_enable_websockets: bool, one_of::<bool>();
        "STRICT_EVENT_VALIDATION", "true", Plain,
        /// Whether undeclared events are refused, for tasks that declare any.
        strict_event_validation: bool, one_of::<bool>();
    }
    "Polling" {
        "TASK_POLL_TIMEOUT", "30", Plain,
        /// The time for which an orchestrator may hold a poll. The worker gives the poll up 5 s later.
        task_poll_timeout: Duration, parse::TIMEOUT;
        "TASK_POLL_ERROR_DELAY", "5.0", Plain,
        /// The delay after a failed poll. It doubles with each further failure, up to 60 s.
        task_poll_error_delay: Duration, parse::DELAY;
        "IDLE_POLL_DELAY", "0.01", Plain,
        /// The delay after a poll that was answered at once without a task.
        idle_poll_delay: Duration, parse::DELAY;
        "WORKER_MAX_POLLERS", "8", Plain,
        /// The maximum number of open polls per orchestrator.
        worker_max_pollers: usize, whole!(1 to 1_000);
    }
    "Results" {
        "RESULT_MAX_RETRIES", "5", Plain,
        /// The number of quick attempts to deliver a result. After these it is kept, and offered every 30 s.
        result_max_retries: usize, whole!(at least 0);
        "RESULT_RETRY_INITIAL_DELAY", "1.0", Plain,
        /// The delay before the second attempt. It doubles with each further attempt.
        result_retry_initial_delay: Duration, parse::DELAY;
        "WORKER_RESULT_MAX_AGE", "86400", Plain,
        /// The age at which an unacknowledged result is given up.
        worker_result_max_age: Duration, parse::TIMEOUT;
        "RESULT_RESEND_AMBIGUOUS", "true", Plain,
        /// Whether a result is sent again to an older orchestrator that may already have received it.
        result_resend_ambiguous: bool, one_of::<bool>();
        "WORKER_OUTBOX_DIR" needs "durable", unset "none", Plain,
        /// The directory in which unacknowledged results survive a crash.
        worker_outbox_dir: Option<PathBuf>, parse::PATH;
    }
    "Shutdown" {
        "WORKER_SHUTDOWN_TIMEOUT", "25", Plain,
        /// The time that running tasks have to finish at shutdown.
        worker_shutdown_timeout: Duration, parse::DELAY;
        "WORKER_SHUTDOWN_POLLS", "auto", Plain,
        /// How polls that are open at shutdown end.
        worker_shutdown_polls: ShutdownPolls, one_of::<ShutdownPolls>();
    }
    "Files" {
        "TASK_FILES_DIR", "/tmp/payloads", Plain,
        /// The directory for the files of tasks.
        task_files_dir: PathBuf, parse::PATH;
        "S3_ENDPOINT_URL" needs "s3", unset "none", Address,
        /// The address of the S3 storage.
        s3_endpoint_url: Option<Address>, parse::STORAGE;
        "S3_ACCESS_KEY" needs "s3", unset "none", Masked,
        /// The access key of the S3 storage.
        s3_access_key: Option<Secret>, parse::STORAGE_KEY;
        "S3_SECRET_KEY" needs "s3", unset "none", Masked,
        /// The secret key of the S3 storage.
        s3_secret_key: Option<Secret>, parse::STORAGE_KEY;
        "S3_DEFAULT_BUCKET" needs "s3", "avtomatika-payloads", Plain,
        /// The bucket that results are uploaded to.
        s3_default_bucket: String, parse::TEXT;
        "S3_REGION" needs "s3", "us-east-1", Plain,
        /// The region of the S3 storage.
        s3_region: String, parse::REGION;
        "WORKER_BLOB_CACHE_DIR" needs "s3", unset "none", Plain,
        /// The directory of the cache for large inputs that are used more than once.
        worker_blob_cache_dir: Option<PathBuf>, parse::PATH;
        "WORKER_BLOB_CACHE_SIZE" needs "s3", "10240", Plain,
        /// The maximum size of that cache in MiB.
        worker_blob_cache_size: usize, whole!(at least 1);
    }
    "Health server" {
        "WORKER_HOST", "0.0.0.0", Plain,
        /// The address that the health server listens on.
        worker_host: IpAddr, parse::HOST;
        "WORKER_PORT", "8083", Plain,
        /// The port of the health server; 0 for any free port.
        worker_port: u16, parse::PORT;
    }
    "Log" {
        "LOG_FORMAT", "text", Plain,
        /// The format of log lines.
        log_format: LogFormat, one_of::<LogFormat>();
        "LOG_LEVEL", "info", Plain,
        /// The lowest level of log lines that are written.
        log_level: LogLevel, one_of::<LogLevel>();
    }
}
