//! The table.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::transport::http::{OrchestratorUrl, Proxies, redacted};

use super::orchestrators::{self, MultiOrchestratorMode, OrchestratorEntry};
use super::parse::{self, CapacityReporting, LogFormat, LogLevel, ShutdownPolls};
use super::{PLACEHOLDER_TOKEN, Problem, Secret};

/// One option, as documentation and errors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// The name of its variable.
    pub variable: &'static str,
    /// What holds when it is not set, as text.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What its value may be shown as.
    pub(super) display: Display,
    /// Whether this version does what it says.
    pub supported: bool,
}

/// How a wrong value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    /// As it is.
    Plain,
    /// Not at all.
    Masked,
    /// Without credentials.
    Address,
}

impl OptionInfo {
    pub(super) fn problem(&self, value: &str, expected: String) -> Problem {
        let shown = match self.display {
            Display::Masked => "***".to_owned(),
            Display::Address => redacted(value),
            Display::Plain => value.chars().take(200).collect(),
        };
        Problem::new(self.variable, shown, expected)
    }
}

macro_rules! options {
    ($(
        $variable:literal, $default:literal, $display:ident, $supported:literal,
        #[doc = $meaning:literal]
        $field:ident: $type:ty = $initial:expr, $parse:expr;
    )*) => {
        /// Everything that can be set. Read from the environment once; what is set in code comes after.
        ///
        /// Times are seconds in variables and [`Duration`]s here. An empty variable counts as not set.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct WorkerConfig {
            $(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!("Variable `", $variable, "`; default: ", $default, ".")]
                pub $field: $type,
            )*
            pub(super) proxies: Proxies,
            pub(super) problems: Vec<Problem>,
            pub(super) warnings: Vec<String>,
        }

        /// The table: one row for each option.
        pub const OPTIONS: &[OptionInfo] = &[$(OptionInfo {
            variable: $variable,
            default: $default,
            meaning: $meaning,
            display: Display::$display,
            supported: $supported,
        },)*];

        impl WorkerConfig {
            pub(super) fn empty() -> Self {
                Self {
                    $($field: $initial,)*
                    proxies: Proxies::default(),
                    problems: Vec::new(),
                    warnings: Vec::new(),
                }
            }

            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                pub fn $field(mut self, value: impl Into<$type>) -> Self {
                    self.$field = value.into();
                    self.problems.retain(|problem| problem.variable != $variable);
                    self
                }
            )*

            pub(super) fn assign(&mut self, variable: &str, text: &str) -> Result<(), String> {
                if variable == "ORCHESTRATORS_CONFIG" {
                    return self.assign_orchestrators(text);
                }
                match variable {
                    $($variable => match $parse(text) {
                        Ok(value) => self.$field = value,
                        Err(expected) if WARN_ONLY.contains(&$variable) => {
                            self.warnings.push(format!("`{}` is ignored, expected {expected}", $variable));
                        }
                        Err(expected) => return Err(expected),
                    },)*
                    _ => return Err("an option".to_owned()),
                }
                Ok(())
            }

            /// Every number and time that was set in code outside of the range its variable has.
            pub(super) fn out_of_range(&self) -> Vec<Problem> {
                let mut problems = Vec::new();
                $(
                    if let Some(text) = self.$field.as_number() {
                        let checked: Result<$type, String> = $parse(&text);
                        if let Err(expected) = checked {
                            problems.push(Problem::new($variable, text, expected));
                        }
                    }
                )*
                problems
            }

            /// A field that was assigned after its variable turned out wrong no longer has its default.
            #[expect(clippy::float_cmp, reason = "it is asked whether it is the very same number")]
            pub(super) fn was_set_in_code(&self, variable: &str) -> bool {
                let defaults = Self::empty();
                $(
                    if variable == $variable {
                        return self.$field != defaults.$field;
                    }
                )*
                false
            }
        }
    };
}

/// What a range applies to, as its variable would say it.
trait AsNumber {
    fn as_number(&self) -> Option<String>;
}

impl AsNumber for Duration {
    fn as_number(&self) -> Option<String> {
        Some(self.as_secs_f64().to_string())
    }
}

impl AsNumber for Option<Duration> {
    fn as_number(&self) -> Option<String> {
        self.as_ref()?.as_number()
    }
}

impl AsNumber for usize {
    fn as_number(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl AsNumber for f64 {
    fn as_number(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! without_range {
    ($($type:ty)*) => { $(
        impl AsNumber for $type {
            fn as_number(&self) -> Option<String> {
                None
            }
        }
    )* };
}

// Every value of these types is as good as any other, or was checked when it was made.
without_range! {
    bool u16 String Option<String> PathBuf Option<PathBuf> Secret Option<Secret> IpAddr Option<WorkerId>
    Option<OrchestratorUrl> Vec<OrchestratorEntry> Vec<InstalledModel> BTreeMap<String, f64>
    BTreeMap<String, String> MultiOrchestratorMode CapacityReporting ShutdownPolls LogFormat LogLevel
}

/// Bad JSON in these is a warning, and what holds without them counts, as the reference has it.
const WARN_ONLY: [&str; 3] = ["COST_PER_SKILL", "INSTALLED_SOFTWARE", "INSTALLED_MODELS"];

impl WorkerConfig {
    fn assign_orchestrators(&mut self, text: &str) -> Result<(), String> {
        match orchestrators::entries(text) {
            Some(entries) => self.orchestrators_config = entries?,
            None => self.warnings.push(
                "`ORCHESTRATORS_CONFIG` is not valid JSON and is ignored: `ORCHESTRATOR_URL` counts"
                    .to_owned(),
            ),
        }
        Ok(())
    }
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

options! {
    "WORKER_ID", "a random `worker-<uuid>`", Plain, true,
    /// The worker's name. No two live workers may share one.
    worker_id: Option<WorkerId> = None, parse::worker_id;
    "WORKER_TYPE", "`generic-cpu-worker`", Plain, true,
    /// A label for people and for selection.
    worker_type: String = "generic-cpu-worker".to_owned(), parse::text;
    "WORKER_HOST", "`0.0.0.0`", Plain, true,
    /// The address the health server listens on.
    worker_host: IpAddr = Ipv4Addr::UNSPECIFIED.into(), parse::host;
    "WORKER_PORT", "`8083`", Plain, true,
    /// The port of the health server; 0 for any that is free.
    worker_port: u16 = 8083, parse::port;
    "WORKER_TOKEN", "`your-secret-worker-token`", Masked, true,
    /// The token for all orchestrators that have none of their own.
    worker_token: Secret = Secret::new(PLACEHOLDER_TOKEN), parse::secret;
    "WORKER_INDIVIDUAL_TOKEN", "none", Masked, true,
    /// This worker's own token; wins over `WORKER_TOKEN`.
    worker_individual_token: Option<Secret> = None, parse::optional_secret;
    "TLS_CA_PATH", "the system's certificates", Plain, true,
    /// PEM file of the only certificate authorities that are trusted.
    tls_ca_path: Option<PathBuf> = None, parse::optional_path;
    "TLS_CERT_PATH", "none", Plain, false,
    /// PEM file of the client certificate.
    tls_cert_path: Option<PathBuf> = None, parse::optional_path;
    "TLS_KEY_PATH", "none", Plain, false,
    /// PEM file of the client certificate's key.
    tls_key_path: Option<PathBuf> = None, parse::optional_path;
    "ORCHESTRATOR_URL", "`http://localhost:8080`", Address, true,
    /// Where the orchestrator is, when there is one.
    orchestrator_url: Option<OrchestratorUrl> = None, parse::url;
    "ORCHESTRATORS_CONFIG", "`[]`", Masked, true,
    /// JSON list of orchestrators: `url`, and optionally `priority` (10), `weight` (1) and `token`.
    orchestrators_config: Vec<OrchestratorEntry> = Vec::new(), |_: &str| Ok(Vec::new());
    "MULTI_ORCHESTRATOR_MODE", "`FAILOVER`", Plain, false,
    /// How several orchestrators are used: `FAILOVER`, `ROUND_ROBIN` or `WATERFALL`.
    multi_orchestrator_mode: MultiOrchestratorMode = MultiOrchestratorMode::Failover, orchestrators::mode;
    "MAX_CONCURRENT_TASKS", "`10`", Plain, true,
    /// How many tasks run at once, 1 to 10000.
    max_concurrent_tasks: usize = 10, parse::count::<1, 10_000>;
    "COST_PER_SKILL", "`{}`", Plain, true,
    /// JSON object: what a second of each task costs.
    cost_per_skill: BTreeMap<String, f64> = BTreeMap::new(), parse::costs;
    "CPU_CORES", "`4`", Plain, true,
    /// Processor cores of the machine, as told to orchestrators.
    cpu_cores: usize = 4, parse::count::<0, 1_000_000>;
    "GPU_MODEL", "none", Plain, true,
    /// The graphics card, as told to orchestrators.
    gpu_model: Option<String> = None, parse::optional_text;
    "GPU_VRAM_GB", "`0`", Plain, true,
    /// The graphics card's memory in GB.
    gpu_vram_gb: f64 = 0.0, parse::gigabytes;
    "INSTALLED_SOFTWARE", "`{\"python\": \"3.9\"}`", Plain, true,
    /// JSON object: software and its versions.
    installed_software: BTreeMap<String, String> = BTreeMap::from([("python".to_owned(), "3.9".to_owned())]), parse::software;
    "INSTALLED_MODELS", "`[]`", Plain, true,
    /// JSON list: models on disk, each with `name` and `version`.
    installed_models: Vec<InstalledModel> = Vec::new(), parse::models;
    "HEARTBEAT_INTERVAL", "`15`", Plain, true,
    /// Time between heartbeats, at least 0.05.
    heartbeat_interval: Duration = secs(15.0), parse::heartbeat_interval;
    "WORKER_HEARTBEAT_DEBOUNCE_DELAY", "`0.1`", Plain, true,
    /// How long after the last of a burst of changes a further heartbeat is sent.
    worker_heartbeat_debounce_delay: Duration = secs(0.1), parse::delay;
    "WORKER_ENABLE_WEBSOCKETS", "`false`", Plain, false,
    /// Whether commands are received over a websocket.
    worker_enable_websockets: bool = false, parse::boolean;
    "RESULT_MAX_RETRIES", "`5`", Plain, true,
    /// Quick tries to hand in a result; after these it is kept and offered every 30 s.
    result_max_retries: usize = 5, parse::count::<0, 1_000>;
    "RESULT_RETRY_INITIAL_DELAY", "`1.0`", Plain, true,
    /// Delay before the second try; it doubles from try to try.
    result_retry_initial_delay: Duration = secs(1.0), parse::delay;
    "TASK_POLL_TIMEOUT", "`30`", Plain, true,
    /// How long an orchestrator may hold a poll; ours is given up 5 s later.
    task_poll_timeout: Duration = secs(30.0), parse::timeout;
    "TASK_POLL_ERROR_DELAY", "`5.0`", Plain, true,
    /// Delay after a failed poll; it doubles while they fail, to 60.
    task_poll_error_delay: Duration = secs(5.0), parse::delay;
    "IDLE_POLL_DELAY", "`0.01`", Plain, true,
    /// Delay after a poll that was answered at once with nothing.
    idle_poll_delay: Duration = secs(0.01), parse::delay;
    "TASK_FILES_DIR", "`/tmp/payloads`", Plain, false,
    /// The directory of the tasks' files.
    task_files_dir: PathBuf = PathBuf::from("/tmp/payloads"), parse::path;
    "S3_ENDPOINT_URL", "none", Address, false,
    /// The address of the S3 storage.
    s3_endpoint_url: Option<String> = None, parse::optional_text;
    "S3_ACCESS_KEY", "none", Masked, false,
    /// The access key of the S3 storage.
    s3_access_key: Option<Secret> = None, parse::optional_secret;
    "S3_SECRET_KEY", "none", Masked, false,
    /// The secret key of the S3 storage.
    s3_secret_key: Option<Secret> = None, parse::optional_secret;
    "S3_DEFAULT_BUCKET", "`avtomatika-payloads`", Plain, false,
    /// The bucket that results are uploaded to.
    s3_default_bucket: String = "avtomatika-payloads".to_owned(), parse::text;
    "S3_REGION", "`us-east-1`", Plain, false,
    /// The region of the S3 storage.
    s3_region: String = "us-east-1".to_owned(), parse::text;
    "WORKER_SHUTDOWN_TIMEOUT", "`25`", Plain, true,
    /// How long running tasks may take to finish at shutdown.
    worker_shutdown_timeout: Duration = secs(25.0), parse::delay;
    "WORKER_SHUTDOWN_POLLS", "`auto`", Plain, true,
    /// What becomes of polls that are open at shutdown: `auto`, `await` or `drop`.
    worker_shutdown_polls: ShutdownPolls = ShutdownPolls::Auto, parse::shutdown_polls;
    "WORKER_OUTBOX_DIR", "none", Plain, false,
    /// The directory in which unacknowledged results survive a crash.
    worker_outbox_dir: Option<PathBuf> = None, parse::optional_path;
    "WORKER_RESULT_MAX_AGE", "`86400`", Plain, true,
    /// After how long an unacknowledged result is given up.
    worker_result_max_age: Duration = secs(86_400.0), parse::timeout;
    "RESULT_RESEND_AMBIGUOUS", "`true`", Plain, true,
    /// Whether a result that an older orchestrator may have got is sent to it again.
    result_resend_ambiguous: bool = true, parse::boolean;
    "WORKER_MAX_POLLERS", "`8`", Plain, true,
    /// How many polls at most are open at once, per orchestrator, 1 to 1000.
    worker_max_pollers: usize = 8, parse::count::<1, 1_000>;
    "WORKER_CAPACITY_REPORTING", "`strict`", Plain, true,
    /// How a full worker reports itself: `strict` or `queue`.
    worker_capacity_reporting: CapacityReporting = CapacityReporting::Strict, parse::capacity_reporting;
    "WORKER_TASK_TIMEOUT", "none", Plain, true,
    /// How long a task may take that has no limit of its own.
    worker_task_timeout: Option<Duration> = None, parse::optional_timeout;
    "LOG_FORMAT", "`text`", Plain, true,
    /// How log lines look: `text` or `json`.
    log_format: LogFormat = LogFormat::Text, parse::log_format;
    "LOG_LEVEL", "`info`", Plain, true,
    /// From which level on log lines are written: `error`, `warn`, `info`, `debug` or `trace`.
    log_level: LogLevel = LogLevel::INFO, parse::log_level;
    "ORCHESTRATOR_SECRET_KEY", "none", Masked, false,
    /// The key that tasks are signed with.
    orchestrator_secret_key: Option<Secret> = None, parse::optional_secret;
    "REQUIRE_TASK_SIGNATURE", "`true`", Plain, false,
    /// Whether tasks without a signature are refused, once there is a key.
    require_task_signature: bool = true, parse::boolean;
}
