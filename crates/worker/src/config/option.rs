//! What an option is, and the macro that makes options of rows.

use rxon::text::excerpt;
use rxon::transport::http::redacted;

use super::Problem;

/// One option, as documentation, errors and the effective configuration show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// The name of its variable.
    pub variable: &'static str,
    /// What it belongs to, as a heading.
    pub group: &'static str,
    /// What holds when it is not set: a value in backticks, or words.
    pub default: &'static str,
    /// What its value has to be: errors say it after `expected`.
    pub accepts: &'static str,
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
    /// A wrong value, and perhaps what exactly is wrong with it.
    pub(super) fn problem(&self, value: &str, detail: Option<&str>) -> Problem {
        let value = match self.display {
            Display::Masked => "***".to_owned(),
            Display::Address => excerpt(redacted(value)),
            Display::Plain => excerpt(value),
        };
        let expected = match detail {
            Some(detail) => format!("{} ({detail})", self.accepts),
            None => self.accepts.to_owned(),
        };
        Problem::new(self.variable, value, expected)
    }
}

/// Makes of each row a field of [`WorkerConfig`](super::WorkerConfig), a method that sets it, its variable, and its row
/// of [`OPTIONS`](super::OPTIONS).
macro_rules! options {
    ($( $group:literal { $(
        $variable:literal, $default:literal, $display:ident, $supported:literal,
        #[doc = $meaning:literal]
        $field:ident: $type:ty = $initial:expr, $accepts:expr;
    )* } )*) => {
        /// Everything that can be set. Read from the environment once; what is set in code comes after.
        ///
        /// Times are seconds in variables and [`Duration`]s here. An empty variable counts as not set. What is set in
        /// code has to be what the variable has to be: [`check`](Self::check), and whatever runs the worker, say so.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct WorkerConfig {
            $($(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!("Variable `", $variable, "`; default: ", $default, ".")]
                pub $field: $type,
            )*)*
            pub(super) history: History,
        }

        /// The table: one row for each option, group by group.
        pub const OPTIONS: &[OptionInfo] = &[$($(OptionInfo {
            variable: $variable,
            group: $group,
            default: $default,
            accepts: {
                const ACCEPTS: Accepts<$type> = $accepts;
                ACCEPTS.text
            },
            meaning: $meaning.trim_ascii(),
            display: Display::$display,
            supported: $supported,
        },)*)*];

        impl WorkerConfig {
            pub(super) fn empty() -> Self {
                Self { $($($field: $initial,)*)* history: History::default() }
            }

            $($(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                pub fn $field(mut self, value: impl Into<$type>) -> Self {
                    self.$field = value.into();
                    self.history.set_in_code($variable);
                    self
                }
            )*)*

            /// Reads a text into an option; what is wrong leaves it as it is.
            pub(super) fn assign(&mut self, variable: &str, text: &str) -> Parsed<()> {
                match variable {
                    $($($variable => {
                        const ACCEPTS: Accepts<$type> = $accepts;
                        self.$field = (ACCEPTS.parse)(text)?;
                    })*)*
                    _ => return Err(Wrong::value()),
                }
                Ok(())
            }

            /// Gives an option its default.
            pub(super) fn reset(&mut self, variable: &str) {
                let defaults = Self::empty();
                match variable {
                    $($($variable => self.$field = defaults.$field,)*)*
                    _ => {}
                }
            }

            /// An option as its variable would have to say it, secrets and all. None where it has no value.
            pub(super) fn text(&self, variable: &str) -> Option<String> {
                match variable {
                    $($($variable => self.$field.text(),)*)*
                    _ => None,
                }
            }

            /// The value of an option by the name of its variable, in the simplest type that says it. None when
            /// there is no such option.
            pub fn get(&self, variable: &str) -> Option<OptionValue> {
                match variable {
                    $($($variable => Some(self.$field.value()),)*)*
                    _ => None,
                }
            }

            /// An option as it may be shown. None where it has no value.
            pub(super) fn shown(&self, variable: &str) -> Option<String> {
                match variable {
                    $($($variable => self.$field.shown(),)*)*
                    _ => None,
                }
            }

            /// Whether both have the same value for an option.
            #[expect(clippy::float_cmp, reason = "it is asked whether it is the very same number")]
            pub(super) fn agrees(&self, other: &Self, variable: &str) -> bool {
                match variable {
                    $($($variable => self.$field == other.$field,)*)*
                    _ => true,
                }
            }
        }
    };
}

pub(super) use options;
