//! The values in effect, where they come from, and the secrets among them.

use std::fmt;

use rxon::secrets::Secrets;
use rxon::transport::http::OrchestratorUrl;

use super::option::OptionInfo;
use super::table::{DEFAULTS, OPTIONS, PLACEHOLDER_TOKEN, WorkerConfig};
use super::value::Setting;

/// An option with the value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effective {
    /// The option.
    pub option: &'static OptionInfo,
    /// Its value as text: secrets as `***`, addresses without credentials. None where it has no value.
    pub value: Option<String>,
    /// The source of the value.
    pub source: Source,
}

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The default: the option is not set, or to a wrong value.
    Default,
    /// The option's variable.
    Environment,
    /// Code, after the environment was read.
    Code,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Code => "code",
        })
    }
}

impl WorkerConfig {
    /// Every option with the value in effect, in the order of [`OPTIONS`], without secrets.
    ///
    /// ```
    /// # use avtomatika_worker::WorkerConfig;
    /// use avtomatika_worker::config::Source;
    ///
    /// let config = WorkerConfig::defaults().worker_token("secret");
    /// let effective = config.effective();
    /// let token = effective.iter().find(|effective| effective.option.variable == "WORKER_TOKEN").expect("a row");
    /// assert_eq!((token.value.as_deref(), token.source), (Some("***"), Source::Code));
    /// ```
    pub fn effective(&self) -> Vec<Effective> {
        let effective = |option: &'static OptionInfo| Effective {
            option,
            value: self.setting(option.variable).and_then(Setting::shown),
            source: self.source(option.variable),
        };
        OPTIONS.iter().map(effective).collect()
    }

    fn source(&self, variable: &str) -> Source {
        let mut wrong = self.history.problems.iter().chain(&self.history.ignored);
        if self.is_set_in_code(variable) {
            Source::Code
        } else if !self.history.environment.contains_key(variable)
            || wrong.any(|problem| problem.variable == variable)
        {
            Source::Default
        } else {
            Source::Environment
        }
    }

    /// Whether the value in effect was set in code. An assignment to the field shows by the value alone.
    pub(super) fn is_set_in_code(&self, variable: &str) -> bool {
        if self.history.in_code.contains_key(variable) {
            return true;
        }
        let Some(text) = self.history.environment.get(variable) else {
            return !self.agrees(&DEFAULTS, variable);
        };
        let mut read = Self::defaults();
        // A wrong text leaves the default, as it did when the environment was read.
        let _ = read.assign(variable, text.expose());
        !self.agrees(&read, variable)
    }

    /// Whether the option has a value that was set in code, and not its default.
    pub(super) fn has_value_in_code(&self, variable: &str) -> bool {
        self.history
            .in_code
            .get(variable)
            .copied()
            .unwrap_or_else(|| self.is_set_in_code(variable) && !self.agrees(&DEFAULTS, variable))
    }

    /// Registers the secrets of this configuration: while the returned value lives, they are masked in every text from
    /// outside that is shown.
    pub(crate) fn hold_secrets(&self) -> Secrets {
        Secrets::new(self.secrets())
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = OPTIONS
            .iter()
            .flat_map(|option| {
                // The text of a variable is secret even where it is wrong, or overridden in code.
                let read = self.history.environment.get(option.variable).map(|text| text.expose().to_owned());
                let texts = self.exposed_text(option.variable).into_iter().chain(read);
                texts.flat_map(|text| option.visibility.secrets(&text))
            })
            // The placeholder is in the documentation, and in a warning.
            .filter(|secret| secret != PLACEHOLDER_TOKEN)
            .collect();
        secrets.extend(self.history.keys.iter().map(|key| key.expose().to_owned()));
        // The text of a parsed address has no credentials.
        let entries = self.orchestrators_config.iter().map(|entry| &entry.url);
        secrets.extend(self.orchestrator_url.iter().chain(entries).flat_map(OrchestratorUrl::secrets));
        secrets.sort_unstable();
        secrets.dedup();
        secrets
    }
}
