//! The description of an option, the macro that turns the rows of the table into options, and the origin of their values.

use std::collections::BTreeMap;

use rxon::WorkerId;

use super::parse::Wrong;
use super::problem::Problem;
use super::resources::MachineResources;
use super::secret::{Secret, Visibility};

/// The description of an option in documentation, errors and the effective configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// The name of its variable.
    pub variable: &'static str,
    /// The heading of its group.
    pub group: &'static str,
    /// The value that applies when it is not set: a value in backticks, or words.
    pub default: &'static str,
    /// The accepted values, in words. Errors name them after `expected`.
    pub accepts: &'static str,
    /// The meaning, in a sentence.
    pub meaning: &'static str,
    /// The feature of this crate that the option needs. Without the feature, setting the option is an error.
    pub feature: Option<&'static str>,
    pub(super) visibility: Visibility,
}

impl OptionInfo {
    /// The problem with a value that is not accepted.
    pub(super) fn problem(&self, value: &str, wrong: &Wrong) -> Problem {
        let expected = match &wrong.detail {
            Some(detail) => format!("{} ({detail})", self.accepts),
            None => self.accepts.to_owned(),
        };
        Problem::new(self.variable, self.visibility.shown(value), expected)
    }
}

/// The variables that were read, the faults in them, and the options that were set in code.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The worker's name where `WORKER_ID` is not set.
    pub(super) fallback_id: Option<WorkerId>,
    /// Further capabilities that are reported to orchestrators.
    pub(super) extra: BTreeMap<String, serde_json::Value>,
    /// The texts of the options' variables.
    pub(super) environment: BTreeMap<&'static str, Secret>,
    /// Keys in the variables of the AWS tools, which the storage may use.
    pub(super) keys: Vec<Secret>,
    /// Options that were set by a method or by name, each with whether it was set to a value rather than to its default.
    pub(super) in_code: BTreeMap<&'static str, bool>,
    /// Variables with a wrong value.
    pub(super) problems: Vec<Problem>,
    /// Options that were set by name to a wrong value.
    pub(super) wrong: Vec<Problem>,
    /// Variables with a wrong value that count as not set, with a warning.
    pub(super) ignored: Vec<Problem>,
    /// A sentence for each variable that belongs to no option.
    pub(super) unknown: Vec<String>,
    /// Whether `ORCHESTRATOR_SECRET_KEY` was read from its further variable.
    pub(super) has_further_key: bool,
    /// The resources that were set in code as a whole.
    pub(super) resources: Option<MachineResources>,
}

impl History {
    /// Notes that an option was set in code, which takes precedence over its variable.
    pub(super) fn set_in_code(&mut self, variable: &'static str) {
        self.wrong.retain(|problem| problem.variable != variable);
        self.in_code.insert(variable, true);
    }

    /// Notes that an option was set to its default in code.
    pub(super) fn reset_in_code(&mut self, variable: &'static str) {
        self.set_in_code(variable);
        self.in_code.insert(variable, false);
    }
}

/// Declares [`WorkerConfig`](super::WorkerConfig) and [`OPTIONS`](super::OPTIONS). Each row becomes a field, a method
/// that sets it, a variable and a row of [`OPTIONS`](super::OPTIONS).
///
/// The default is the text that the variable would need, or `unset` with words for the documentation.
macro_rules! options {
    ($( $group:literal { $(
        $variable:literal $(needs $feature:literal)?, $(unset $words:literal)? $($default:literal)?, $visibility:ident,
        #[doc = $meaning:literal]
        $field:ident: $type:ty, $accepts:expr;
    )* } )*) => {
        /// All options of a worker: first the environment, which is read once, then the values set in code.
        ///
        /// Times are seconds in variables and [`Duration`]s here. An empty variable counts as not set. A value set in
        /// code has to be one that the variable accepts: otherwise [`check`](Self::check) reports it, and so does the
        /// worker when it is run.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct WorkerConfig {
            $($(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!(
                    "Variable `", $variable, "`; default: ", $($words,)? $("`", $default, "`",)? "."
                    $(, " Needs the feature `", $feature, "`.")?
                )]
                pub $field: $type,
            )*)*
            pub(super) history: History,
        }

        /// The table of options: one row for each, group by group.
        pub const OPTIONS: &[OptionInfo] = &[$($(OptionInfo {
            variable: $variable,
            group: $group,
            default: concat!($($words)? $("`", $default, "`")?),
            accepts: $accepts.text,
            meaning: $meaning.trim_ascii(),
            feature: <[_]>::first(&[$($feature)?]).copied(),
            visibility: Visibility::$visibility,
        },)*)*];

        pub(super) static DEFAULTS: LazyLock<WorkerConfig> = LazyLock::new(|| WorkerConfig {
            $($($field: initial!($accepts, $(unset $words)? $($default)?),)*)*
            history: History::default(),
        });

        impl WorkerConfig {
            $($(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                pub fn $field(mut self, value: impl Into<$type>) -> Self {
                    self.$field = value.into();
                    self.history.set_in_code($variable);
                    self
                }
            )*)*

            /// Parses a text into an option. If it is not accepted, the option keeps its value.
            pub(super) fn assign(&mut self, variable: &str, text: &str) -> Parsed<()> {
                match variable {
                    $($($variable => self.$field = ($accepts.parse)(text)?.into(),)*)*
                    _ => return Err(Wrong::default()),
                }
                Ok(())
            }

            /// Sets an option to its default.
            pub(super) fn reset(&mut self, variable: &str) {
                match variable {
                    $($($variable => self.$field = DEFAULTS.$field.clone(),)*)*
                    _ => {}
                }
            }

            pub(super) fn setting(&self, variable: &str) -> Option<&dyn Setting> {
                match variable {
                    $($($variable => Some(&self.$field),)*)*
                    _ => None,
                }
            }

            /// The text that an option's variable would need for its value, secrets included. None where it has no
            /// value.
            pub(super) fn exposed_text(&self, variable: &str) -> Option<String> {
                self.get(variable)?.into_text()
            }

            /// The value of an option by the name of its variable, in the simplest type that can hold it. None when
            /// there is no such option.
            pub fn get(&self, variable: &str) -> Option<OptionValue> {
                self.setting(variable).map(Setting::value)
            }

            /// Whether both have the same value for an option.
            #[expect(clippy::float_cmp, reason = "identical numbers are meant")]
            pub(super) fn agrees(&self, other: &Self, variable: &str) -> bool {
                match variable {
                    $($($variable => self.$field == other.$field,)*)*
                    _ => true,
                }
            }
        }
    };
}

/// The initial value of a field: None, or its default parsed.
macro_rules! initial {
    ($accepts:expr, unset $words:literal) => {
        None
    };
    ($accepts:expr, $default:literal) => {
        ($accepts.parse)($default).expect(concat!("`", $default, "` is accepted")).into()
    };
}

pub(super) use {initial, options};
