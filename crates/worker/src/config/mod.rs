//! Everything that can be set, in one table.
//!
//! A macro, `options!`, makes of each row a field of [`WorkerConfig`], a method that sets it, its variable, and the row
//! of [`OPTIONS`] that documentation and errors are made of.

mod orchestrators;
mod parse;
mod problem;
mod secret;
mod table;

pub use orchestrators::{MultiOrchestratorMode, OrchestratorEntry};
pub use parse::{CapacityReporting, LogFormat, LogLevel, ShutdownPolls};
pub use problem::{ConfigError, Problem};
pub use secret::Secret;
pub use table::{OPTIONS, OptionInfo, WorkerConfig};

use rxon::transport::http::{InvalidTls, OrchestratorUrl, Proxies, TlsSettings, Token};

/// The reference's default for `WORKER_TOKEN`: starting with it is warned about.
pub const PLACEHOLDER_TOKEN: &str = "your-secret-worker-token";

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
        let variables: std::collections::BTreeMap<String, String> =
            variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        let mut config = Self::empty();
        for option in OPTIONS {
            if let Some(value) = variables.get(option.variable) {
                config.read(option, value);
            }
        }
        match Proxies::read(|name| variables.get(name).cloned()) {
            Ok(proxies) => config.proxies = proxies,
            Err(problems) => config.problems.extend(problems.into_iter().map(|problem| {
                Problem::new(
                    problem.variable,
                    problem.value,
                    "the address of an http proxy such as `http://proxy:3128`",
                )
            })),
        }
        config.warn_of_unknown(variables.keys());
        config
    }

    /// Sets an option by the name of its variable, as text.
    ///
    /// # Errors
    /// [`Problem`] when there is no such option, or the text is not what it should be.
    pub fn set(&mut self, variable: &str, value: &str) -> Result<(), Problem> {
        let option = OPTIONS.iter().find(|option| option.variable == variable).ok_or_else(|| {
            Problem::new(variable, value, format!("an option; the nearest is `{}`", nearest(variable)))
        })?;
        self.problems.retain(|problem| problem.variable != variable);
        self.assign(option.variable, value).map_err(|expected| option.problem(value, expected))
    }

    fn read(&mut self, option: &'static OptionInfo, value: &str) {
        if !option.supported {
            self.warnings
                .push(format!("`{}` is set, but this version does not support it yet", option.variable));
        }
        if let Err(expected) = self.assign(option.variable, value) {
            self.problems.push(option.problem(value, expected));
        }
    }

    fn warn_of_unknown<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        for name in names.filter(|name| name.starts_with("WORKER_")) {
            if OPTIONS.iter().all(|option| option.variable != name) {
                self.warnings.push(format!("unknown variable `{name}`; did you mean `{}`?", nearest(name)));
            }
        }
    }

    /// What is worth a warning but no reason not to start.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        for orchestrator in self.orchestrators() {
            if orchestrator.token.expose() == PLACEHOLDER_TOKEN {
                warnings.push(format!(
                    "the token for {} is the placeholder `{PLACEHOLDER_TOKEN}`: set `WORKER_TOKEN`",
                    orchestrator.url
                ));
            }
        }
        warnings
    }

    /// Everything that is wrong, at once.
    ///
    /// # Errors
    /// [`ConfigError`] with one problem for each wrong option.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems: Vec<Problem> = self
            .problems
            .iter()
            .filter(|problem| !self.was_set_in_code(problem.variable.as_str()))
            .cloned()
            .collect();
        problems.extend(self.out_of_range());
        match (&self.tls_cert_path, &self.tls_key_path) {
            (Some(path), None) => problems.push(Problem::new(
                "TLS_CERT_PATH",
                path.display().to_string(),
                "`TLS_KEY_PATH` to be set with it",
            )),
            (None, Some(path)) => problems.push(Problem::new(
                "TLS_KEY_PATH",
                path.display().to_string(),
                "`TLS_CERT_PATH` to be set with it",
            )),
            _ => {}
        }
        if let Err(error) = self.tls().check() {
            problems.push(self.tls_problem(&error));
        }
        problems.extend(self.wrong_tokens());
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }

    /// The certificates that are to be trusted cannot be.
    pub(crate) fn tls_problem(&self, error: &InvalidTls) -> Problem {
        let path = self.tls_ca_path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        Problem::new("TLS_CA_PATH", path, format!("a file of PEM certificates ({error})"))
    }

    /// Tokens that cannot stand in a header, those only that count.
    fn wrong_tokens(&self) -> Vec<Problem> {
        let own = self.orchestrators_config.iter().map(|entry| &entry.token);
        let of_entries = own.filter(|token| !token.is_empty()).map(|token| ("ORCHESTRATORS_CONFIG", token));
        let of_all = match &self.worker_individual_token {
            Some(token) => ("WORKER_INDIVIDUAL_TOKEN", token),
            None => ("WORKER_TOKEN", &self.worker_token),
        };
        let wrong = of_entries.chain([of_all]).filter(|(_, token)| Token::new(token.expose()).is_err());
        wrong.map(|(variable, _)| wrong_token(variable)).collect()
    }

    /// The orchestrators with their tokens, in the order they are tried: by priority, then as listed.
    pub fn orchestrators(&self) -> Vec<OrchestratorEntry> {
        let token = self.worker_individual_token.clone().unwrap_or_else(|| self.worker_token.clone());
        if self.orchestrators_config.is_empty() {
            let url = self.orchestrator_url.clone().unwrap_or_else(default_url);
            return vec![OrchestratorEntry { url, priority: 10, weight: 1, token }];
        }
        let mut entries: Vec<OrchestratorEntry> = self
            .orchestrators_config
            .iter()
            .map(|entry| OrchestratorEntry {
                token: if entry.token.is_empty() { token.clone() } else { entry.token.clone() },
                ..entry.clone()
            })
            .collect();
        entries.sort_by_key(|entry| entry.priority);
        entries
    }

    pub(crate) fn tls(&self) -> TlsSettings {
        TlsSettings { ca_path: self.tls_ca_path.clone() }
    }

    pub(crate) fn proxies(&self) -> Proxies {
        self.proxies.clone()
    }
}

pub(crate) fn wrong_token(variable: &str) -> Problem {
    Problem::new(variable, "***", "a token without control characters")
}

fn default_url() -> OrchestratorUrl {
    "http://localhost:8080".parse().expect("the default is an address")
}

fn nearest(name: &str) -> &'static str {
    OPTIONS
        .iter()
        .map(|option| option.variable)
        .min_by_key(|known| strsim::levenshtein(known, name))
        .expect("the table is not empty")
}

#[cfg(test)]
mod tests;
