//! What is in effect, and who said so.

use std::fmt;

use super::{OPTIONS, OptionInfo, WorkerConfig};

/// One option as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effective {
    /// The option.
    pub option: &'static OptionInfo,
    /// Its value as text: secrets as `***`, addresses without credentials. None where it has none.
    pub value: Option<String>,
    /// Who said so.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it, or what was set is wrong.
    Default,
    /// Its variable.
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
    /// Every option as it is in effect, in the order of [`OPTIONS`], without secrets.
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
            value: self.shown(option.variable),
            source: self.source(option.variable),
        };
        OPTIONS.iter().map(effective).collect()
    }

    fn source(&self, variable: &str) -> Source {
        let wrong = self.history.problems.iter().chain(&self.history.ignored);
        if self.is_set_in_code(variable) {
            Source::Code
        } else if self.history.environment.contains_key(variable)
            && wrong.into_iter().all(|problem| problem.variable != variable)
        {
            Source::Environment
        } else {
            Source::Default
        }
    }
}
