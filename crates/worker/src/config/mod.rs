//! All options of a worker, in one table.
//!
//! The macro `options!` makes of each row of the table a field of [`WorkerConfig`], a method that sets it, its variable,
//! and the row of [`OPTIONS`] from which documentation, errors and the effective configuration are made.

mod check;
pub(crate) mod choices;
mod effective;
mod option;
mod orchestrators;
pub(crate) mod parse;
mod problem;
mod reported;
mod resources;
mod secret;
mod table;
mod unknown;
mod value;

pub use choices::{CapacityReporting, LogFormat, LogLevel, MultiOrchestratorMode, ShutdownPolls};
pub use effective::{Effective, Source};
pub use option::OptionInfo;
pub use orchestrators::OrchestratorEntry;
pub(crate) use orchestrators::by_cluster;
#[cfg(feature = "s3")]
pub(crate) use parse::{KEY, is_key};
pub use problem::{ConfigError, Problem};
pub use resources::MachineResources;
pub(crate) use resources::{hostname, ip_address};
pub use secret::{Address, Secret};
pub use table::{OPTIONS, PLACEHOLDER_TOKEN, WorkerConfig};
pub use unknown::WITHOUT_EFFECT;
pub use value::OptionValue;

use std::collections::BTreeMap;

use rxon::WorkerId;
use rxon::text::excerpt;
use rxon::transport::http::Proxies;

use self::parse::{Wrong, bare};
use self::table::{DEFAULTS, find};
use self::unknown::{EXTRA_PREFIX, FURTHER_KEY, nearest_option};

/// Variables of the AWS tools that hold secrets.
const AWS_KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

impl WorkerConfig {
    /// Reads the environment. Never fails: wrong variables are reported by [`check`](Self::check), and by the worker
    /// when it is run.
    pub fn from_env() -> Self {
        // The readable part of a variable that is not UTF-8 is kept, so that the error can name it.
        Self::from_variables(
            std::env::vars_os().map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            }),
        )
    }

    /// The defaults, without the environment.
    pub fn defaults() -> Self {
        DEFAULTS.clone()
    }

    /// Reads variables from any source.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<String, String> =
            variables.into_iter().filter(|(_, value)| !bare(value).is_empty()).collect();
        let mut config = Self::defaults();
        for option in OPTIONS {
            if let Some(text) = variable(&variables, option) {
                config.read(option, text);
            }
        }
        for (name, text) in &variables {
            if let Some(name) = name.strip_prefix(EXTRA_PREFIX).filter(|name| !name.is_empty()) {
                config.history.extra.insert(name.to_lowercase(), json_or_text(text));
            }
        }
        config.history.keys =
            AWS_KEYS.iter().filter_map(|name| variables.get(*name)).map(Secret::new).collect();
        let without_effect = WITHOUT_EFFECT.iter().filter(|(name, _)| variables.contains_key(*name));
        config.history.unknown = variables.keys().filter_map(|name| unknown::warning(name)).collect();
        config.history.unknown.extend(without_effect.map(|(name, instead)| without_effect_of(name, instead)));
        config.history.has_further_key =
            variables.contains_key(FURTHER_KEY) && !variables.contains_key("ORCHESTRATOR_SECRET_KEY");
        config
    }

    /// Capabilities that are reported to orchestrators beside all others: `WORKER_EXTRA_GPU_COUNT=2` is
    /// `{"gpu_count": 2}`. Values that are JSON are sent as JSON, all others as text.
    pub fn extra_capabilities(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.history.extra
    }

    /// Adds a capability to the [extra ones](Self::extra_capabilities).
    pub fn extra_capability(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.history.extra.insert(name.into(), value.into());
        self
    }

    /// Sets the name that the worker has if `WORKER_ID` is not set, for code that needs the name before the worker is
    /// built. It counts as random: no later worker is expected to have the same name.
    pub fn fallback_worker_id(mut self, id: WorkerId) -> Self {
        self.history.fallback_id = Some(id);
        self
    }

    /// The name of the worker. None if it will be random.
    pub(crate) fn known_worker_id(&self) -> Option<WorkerId> {
        self.worker_id.clone().or_else(|| self.history.fallback_id.clone())
    }

    /// Replaces the [extra capabilities](Self::extra_capabilities).
    pub fn set_extra_capabilities(&mut self, extra: BTreeMap<String, serde_json::Value>) {
        self.history.extra = extra;
    }

    fn read(&mut self, option: &'static OptionInfo, value: &str) {
        let text = bare(value);
        if let Err(wrong) = self.assign(option.variable, text) {
            let problem = option.problem(text, &wrong);
            let list = if wrong.lenient { &mut self.history.ignored } else { &mut self.history.problems };
            list.push(problem);
        }
        self.history.environment.insert(option.variable, Secret::new(text));
    }

    /// Sets an option by the name of its variable, as text. An empty text sets it to its default.
    ///
    /// Faults that are only warnings in a variable are errors here.
    ///
    /// # Errors
    /// [`Problem`] when there is no such option, or the option does not accept the text; then nothing has changed.
    pub fn set(&mut self, variable: &str, value: &str) -> Result<(), Problem> {
        let option = find(variable).ok_or_else(|| {
            // The value may be a secret under a misspelt name.
            let expected = format!("the name of an option; the nearest is `{}`", nearest_option(variable));
            Problem::new(excerpt(variable), "***", expected)
        })?;
        let value = bare(value);
        if value.is_empty() {
            self.reset(option.variable);
            self.history.reset_in_code(option.variable);
            return Ok(());
        }
        let is_list = option.variable == "ORCHESTRATORS_CONFIG";
        let unknown = if is_list { orchestrators::unknown_keys(value) } else { Vec::new() };
        if !unknown.is_empty() {
            return Err(option.problem(value, &Wrong::detail(unknown.join("; "))));
        }
        self.assign(option.variable, value).map_err(|wrong| option.problem(value, &wrong))?;
        self.history.set_in_code(option.variable);
        Ok(())
    }

    /// Sets an option as [`set`](Self::set) does, for names and texts from outside: a fault is reported later, together
    /// with all others, by [`check`](Self::check), and by the worker when it is run.
    ///
    /// ```
    /// use avtomatika_worker::WorkerConfig;
    ///
    /// let config = WorkerConfig::defaults().option("MAX_CONCURRENT_TASKS", "0").option("WORKER_PORT", "many");
    /// assert_eq!(config.check().unwrap_err().problems().len(), 2);
    /// ```
    pub fn option(mut self, variable: &str, value: &str) -> Self {
        if let Err(problem) = self.set(variable, value) {
            if let Some(option) = find(variable) {
                self.history.set_in_code(option.variable);
            }
            self.history.wrong.push(problem);
        }
        self
    }

    /// The orchestrators with their tokens, in the order in which they are tried: by priority, then as listed.
    pub fn orchestrators(&self) -> Vec<OrchestratorEntry> {
        let token = self.token_in_force();
        let mut entries = self.orchestrators_config.clone();
        if self.takes_precedence("ORCHESTRATOR_URL", "ORCHESTRATORS_CONFIG") {
            entries.clear();
        }
        if entries.is_empty() {
            let url = self.orchestrator_url.as_ref().or(DEFAULTS.orchestrator_url.as_ref());
            entries.push(OrchestratorEntry::new(url.expect("there is a default").clone()));
        }
        for entry in entries.iter_mut().filter(|entry| entry.token.is_empty()) {
            entry.token = token.clone();
        }
        entries.sort_by_key(|entry| entry.priority);
        entries
    }

    /// The token for every orchestrator that has no token of its own: that of the worker alone, else the common one.
    pub fn token_in_force(&self) -> &Secret {
        let own = self.worker_individual_token.as_ref();
        own.filter(|_| !self.takes_precedence("WORKER_TOKEN", "WORKER_INDIVIDUAL_TOKEN"))
            .unwrap_or(&self.worker_token)
    }

    /// Whether an option takes precedence over a stronger one, because only the former was set in code.
    fn takes_precedence(&self, weaker: &str, stronger: &str) -> bool {
        self.has_value_in_code(weaker) && !self.has_value_in_code(stronger)
    }

    pub(crate) fn proxies(&self) -> Proxies {
        let expose = |address: &Option<Address>| address.as_ref().map(|address| address.expose().to_owned());
        let read = Proxies::read(|name| match name {
            "HTTP_PROXY" => expose(&self.http_proxy),
            "HTTPS_PROXY" => expose(&self.https_proxy),
            "NO_PROXY" => self.no_proxy.clone(),
            _ => None,
        });
        // `check` has reported the faults.
        read.unwrap_or_default()
    }
}

/// The text of an option's variable, or of its further name. Variables of proxies are also read in lower case, as other
/// programs do.
fn variable<'a>(variables: &'a BTreeMap<String, String>, option: &OptionInfo) -> Option<&'a String> {
    let further = || match option.variable {
        "ORCHESTRATOR_SECRET_KEY" => variables.get(FURTHER_KEY),
        name if name.ends_with("_PROXY") => variables.get(&name.to_lowercase()),
        _ => None,
    };
    variables.get(option.variable).or_else(further)
}

fn json_or_text(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!(bare(text)))
}

fn without_effect_of(name: &str, instead: &str) -> String {
    format!("`{name}` has no effect: {instead}")
}

#[cfg(test)]
mod tests;
