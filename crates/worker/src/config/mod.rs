//! Everything that can be set, in one table.
//!
//! A macro, `options!`, makes of each row a field of [`WorkerConfig`], a method that sets it, its variable, and the row
//! of [`OPTIONS`] that documentation, errors and the effective configuration are made of.

mod check;
mod choices;
mod effective;
mod held;
mod history;
mod option;
mod orchestrators;
mod parse;
mod problem;
mod secret;
mod table;
mod value;

pub(crate) use check::wrong_token;
pub use choices::{CapacityReporting, LogFormat, LogLevel, MultiOrchestratorMode, ShutdownPolls};
pub use effective::{Effective, Source};
pub use option::OptionInfo;
pub use orchestrators::OrchestratorEntry;
pub(crate) use parse::{KEY, is_key};
pub use problem::{ConfigError, Problem};
pub use secret::{Address, Secret};
pub use table::{OPTIONS, WorkerConfig};
pub use value::OptionValue;

use std::collections::BTreeMap;

use rxon::WorkerId;
use rxon::text::excerpt;
use rxon::transport::http::{OrchestratorUrl, Proxies};

/// The reference's default for `WORKER_TOKEN`: starting with it is warned about.
pub const PLACEHOLDER_TOKEN: &str = "your-secret-worker-token";

/// Variables of the user's own begin with this.
const EXTRA_PREFIX: &str = "WORKER_EXTRA_";

/// Variables of others' with secrets in them.
const KEYS_OF_AWS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// An unknown variable with more slips than this was meant to be another.
const MOST_SLIPS: usize = 4;

impl WorkerConfig {
    /// Reads the environment. Never fails: what is wrong is reported by [`check`](Self::check), and by whatever runs
    /// the worker.
    pub fn from_env() -> Self {
        // A variable that is not UTF-8 is read as far as it is: its text is then named as wrong.
        Self::from_variables(
            std::env::vars_os().map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            }),
        )
    }

    /// The defaults, whatever the environment says.
    pub fn defaults() -> Self {
        Self::from_variables([])
    }

    /// Reads variables from anywhere.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<String, String> =
            variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        let mut config = Self::empty();
        for option in OPTIONS {
            if let Some(text) = variable(&variables, option) {
                config.read(option, text);
            }
        }
        for (name, text) in &variables {
            if let Some(name) = name.strip_prefix(EXTRA_PREFIX).filter(|name| !name.is_empty()) {
                // What is JSON is sent as JSON, anything else as text.
                let value = serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!(text));
                config.history.extra.insert(name.to_lowercase(), value);
            }
        }
        config.history.keys =
            KEYS_OF_AWS.iter().filter_map(|name| variables.get(*name)).map(Secret::new).collect();
        let is_unknown = |name: &&String| {
            name.starts_with("WORKER_") && !name.starts_with(EXTRA_PREFIX) && find(name).is_none()
        };
        let unknown = variables.keys().filter(is_unknown);
        let sentence = |name: &String| {
            let nearest = nearest_option(name);
            let name = excerpt(name);
            // One that is far away is no slip.
            if strsim::levenshtein(nearest, &name) <= MOST_SLIPS {
                format!("unknown variable `{name}`; did you mean `{nearest}`?")
            } else {
                format!("unknown variable `{name}`")
            }
        };
        config.history.unknown = unknown.map(sentence).collect();
        config
    }

    /// What orchestrators are told beside everything else: `WORKER_EXTRA_GPU_COUNT=2` is `{"gpu_count": 2}`. Values
    /// that are JSON are sent as JSON, anything else as text.
    pub fn extra_capabilities(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.history.extra
    }

    /// Adds to [what orchestrators are told](Self::extra_capabilities).
    pub fn extra_capability(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.history.extra.insert(name.into(), value.into());
        self
    }

    /// The worker's name where `WORKER_ID` says none, for those who have to know it before the worker is built. It counts
    /// as random: nobody is expected to come back under it.
    pub fn fallback_worker_id(mut self, id: WorkerId) -> Self {
        self.history.fallback_id = Some(id);
        self
    }

    /// The name that a worker will have, unless it makes a random one.
    pub(crate) fn known_worker_id(&self) -> Option<WorkerId> {
        self.worker_id.clone().or_else(|| self.history.fallback_id.clone())
    }

    /// Replaces [what orchestrators are told](Self::extra_capabilities).
    pub fn set_extra_capabilities(&mut self, extra: BTreeMap<String, serde_json::Value>) {
        self.history.extra = extra;
    }

    fn read(&mut self, option: &'static OptionInfo, text: &str) {
        if let Err(wrong) = self.assign(option.variable, text) {
            let problem = option.problem(text, wrong.detail.as_deref());
            let list = if wrong.lenient { &mut self.history.ignored } else { &mut self.history.problems };
            list.push(problem);
        }
        self.history.environment.insert(option.variable, Secret::new(text));
    }

    /// Sets an option by the name of its variable, as text. An empty text gives it its default.
    ///
    /// Nothing is let pass here: what is a warning in a variable is an error.
    ///
    /// # Errors
    /// [`Problem`] when there is no such option, or the text is not what it should be; then nothing has changed.
    pub fn set(&mut self, variable: &str, value: &str) -> Result<(), Problem> {
        let option = find(variable).ok_or_else(|| {
            // Perhaps a secret under a name with a slip.
            let expected = format!("the name of an option; the nearest is `{}`", nearest_option(variable));
            Problem::new(excerpt(variable), "***", expected)
        })?;
        if value.trim().is_empty() {
            self.reset(option.variable);
        } else {
            let unknown = match option.variable {
                "ORCHESTRATORS_CONFIG" => orchestrators::unknown_keys(value),
                _ => Vec::new(),
            };
            if !unknown.is_empty() {
                return Err(option.problem(value, Some(&unknown.join("; "))));
            }
            self.assign(option.variable, value)
                .map_err(|wrong| option.problem(value, wrong.detail.as_deref()))?;
        }
        self.history.set_in_code(option.variable);
        Ok(())
    }

    /// As [`set`](Self::set), for names and texts from outside: what is wrong is not told here but with everything else,
    /// by [`check`](Self::check), and by whatever runs the worker.
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

    /// The orchestrators with their tokens, in the order they are tried: by priority, then as listed.
    pub fn orchestrators(&self) -> Vec<OrchestratorEntry> {
        let token = self.worker_individual_token.clone().unwrap_or_else(|| self.worker_token.clone());
        if self.orchestrators_config.is_empty() {
            let url = self.orchestrator_url.clone().unwrap_or_else(default_url);
            return vec![OrchestratorEntry { token, ..OrchestratorEntry::new(url) }];
        }
        let own = |entry: &OrchestratorEntry| match &entry.token {
            own if own.is_empty() => token.clone(),
            own => own.clone(),
        };
        let entries = self.orchestrators_config.iter();
        let mut entries: Vec<OrchestratorEntry> =
            entries.map(|entry| OrchestratorEntry { token: own(entry), ..entry.clone() }).collect();
        entries.sort_by_key(|entry| entry.priority);
        entries
    }

    pub(crate) fn proxies(&self) -> Proxies {
        let expose = |address: &Option<Address>| address.as_ref().map(|address| address.expose().to_owned());
        let read = Proxies::read(|name| match name {
            "HTTP_PROXY" => expose(&self.http_proxy),
            "HTTPS_PROXY" => expose(&self.https_proxy),
            "NO_PROXY" => self.no_proxy.clone(),
            _ => None,
        });
        // What is wrong was told by `check`.
        read.unwrap_or_default()
    }
}

/// What a variable says. Those of proxies count in lower case, too, as everywhere; the upper case wins.
fn variable<'a>(variables: &'a BTreeMap<String, String>, option: &OptionInfo) -> Option<&'a String> {
    let lower = || {
        let is_proxy = option.variable.ends_with("_PROXY");
        is_proxy.then(|| variables.get(&option.variable.to_lowercase())).flatten()
    };
    variables.get(option.variable).or_else(lower)
}

fn find(variable: &str) -> Option<&'static OptionInfo> {
    OPTIONS.iter().find(|option| option.variable == variable)
}

fn nearest_option(name: &str) -> &'static str {
    nearest(OPTIONS.iter().map(|option| option.variable), name)
}

fn nearest(known: impl IntoIterator<Item = &'static str>, name: &str) -> &'static str {
    let nearest = known.into_iter().min_by_key(|known| strsim::levenshtein(known, name));
    nearest.expect("there are some")
}

fn default_url() -> OrchestratorUrl {
    "http://localhost:8080".parse().expect("the default is an address")
}

#[cfg(test)]
mod tests;
