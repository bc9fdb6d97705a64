//! Errors in a configuration, and the known names nearest to misspelt ones.

use std::fmt;

/// An option with a wrong or missing value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: String,
    /// The value; `***` where it is a secret, empty where it is not set.
    pub value: String,
    /// The expected value, in words.
    pub expected: String,
}

impl Problem {
    pub(crate) fn new(
        variable: impl Into<String>,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { variable: variable.into(), value: value.into(), expected: expected.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            return write!(formatter, "`{}` is not set, expected {}", self.variable, self.expected);
        }
        write!(formatter, "`{}` is `{}`, expected {}", self.variable, self.value, self.expected)
    }
}

impl std::error::Error for Problem {}

/// All problems of a configuration. The worker does not start; the exit code is 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems, one for each wrong option.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration is wrong")?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(formatter, "{} {problem}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The name with the fewest slips.
///
/// # Panics
/// When no name is known.
pub(super) fn nearest(known: impl IntoIterator<Item = &'static str>, name: &str) -> &'static str {
    let nearest = known.into_iter().min_by_key(|known| strsim::osa_distance(known, name));
    nearest.expect("there is at least one known name")
}
