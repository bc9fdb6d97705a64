//! The recorded counts, and the comparison with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::toolchain::{Toolchain, is_comparable};
use crate::failure::{Failure, Result};

/// The share of the recorded count by which a count may differ.
const BOUND: f64 = 0.05;

const TAKEN_WITH: &str = "taken with";
const THOUSANDS: &str = "thousand instructions";

/// The recorded counts. Pure, except for the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bounds {
    /// The programs with which they were counted.
    pub(super) toolchain: Toolchain,
    /// Thousands of instructions, by operation.
    pub(super) thousands: BTreeMap<String, f64>,
}

/// A count beside the recorded one. The numbers are thousands of instructions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    /// It is the same, within the bound.
    Same { recorded: f64 },
    /// It is above the bound.
    Above { recorded: f64 },
    /// It is so far below that the bound should be lowered.
    Below { recorded: f64 },
    /// It is not recorded.
    Unknown,
    /// It is recorded with other programs.
    Incomparable { recorded: Option<f64> },
}

impl Bounds {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let unusable = |problem: &str| Failure::new(format!("cannot read `{}`: {problem}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| unusable(&error.to_string()))?;
        Self::parse(&text)
            .ok_or_else(|| unusable("it has not the form that `cargo xtask counts --update` writes"))
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let toolchain = value.get(TAKEN_WITH)?.as_object()?.iter();
        let toolchain = toolchain.map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned())));
        let thousands = value.get(THOUSANDS)?.as_object()?.iter();
        let thousands = thousands.map(|(name, number)| Some((name.clone(), number.as_f64()?)));
        Some(Self {
            toolchain: toolchain.collect::<Option<_>>()?,
            thousands: thousands.collect::<Option<_>>()?,
        })
    }

    fn text(&self) -> String {
        // More digits would only make changes that say nothing.
        let rounded = |thousands: f64| (thousands * 10.0).round() / 10.0;
        let thousands: BTreeMap<_, _> =
            self.thousands.iter().map(|(name, number)| (name, rounded(*number))).collect();
        format!("{:#}\n", json!({ TAKEN_WITH: self.toolchain, THOUSANDS: thousands }))
    }

    pub(super) fn write(&self, file: &Path) -> Result {
        fs::write(file, self.text())
            .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", file.display())))
    }

    /// Compares a count that was taken with these programs.
    pub(super) fn compare(&self, name: &str, is_python: bool, used: &Toolchain, measured: f64) -> Comparison {
        let recorded = self.thousands.get(name).copied();
        if !is_comparable(&self.toolchain, used, is_python) {
            return Comparison::Incomparable { recorded };
        }
        match recorded {
            None => Comparison::Unknown,
            Some(recorded) if measured > recorded * (1.0 + BOUND) => Comparison::Above { recorded },
            Some(recorded) if measured < recorded * (1.0 - BOUND) => Comparison::Below { recorded },
            Some(recorded) => Comparison::Same { recorded },
        }
    }
}

impl Comparison {
    /// Whether it fails the check. An operation without a bound is one that nobody guards.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Above { .. } | Self::Unknown)
    }

    /// Returns the line about an operation.
    pub(super) fn line(self, name: &str, measured: f64) -> String {
        let beside = |recorded: f64| {
            format!(
                "{name}: {measured:.1} k instructions, {:+.1} % of {recorded:.1} k",
                (measured / recorded - 1.0) * 100.0
            )
        };
        match self {
            Self::Same { recorded } => beside(recorded),
            Self::Above { recorded } => format!("{}: ABOVE the bound of +5 %", beside(recorded)),
            Self::Below { recorded } => {
                format!("{}\nhint: record what was won: cargo xtask counts --update {name}", beside(recorded))
            }
            Self::Unknown => format!("{name}: {measured:.1} k instructions, NOT RECORDED"),
            Self::Incomparable { recorded: Some(recorded) } => {
                format!("{}, with other programs", beside(recorded))
            }
            Self::Incomparable { recorded: None } => {
                format!("{name}: {measured:.1} k instructions, not recorded")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        let toolchain = [("rustc", "1.95"), ("valgrind", "3"), ("python", "3.11")];
        Bounds {
            toolchain: toolchain.map(|(name, version)| (name.to_owned(), version.to_owned())).into(),
            thousands: [("parse".to_owned(), 10.0)].into(),
        }
    }

    fn compared(measured: f64) -> Comparison {
        bounds().compare("parse", false, &bounds().toolchain, measured)
    }

    #[test]
    fn the_bound_is_five_percent_in_both_directions() {
        let recorded = 10.0;
        assert_eq!(compared(10.49), Comparison::Same { recorded });
        assert_eq!(compared(10.51), Comparison::Above { recorded });
        assert_eq!(compared(9.51), Comparison::Same { recorded });
        assert_eq!(compared(9.49), Comparison::Below { recorded });
    }

    #[test]
    fn more_fails_and_less_is_only_a_hint() {
        assert!(compared(11.0).is_failure());
        assert!(!compared(10.0).is_failure());
        assert!(!compared(8.0).is_failure());
        let line = compared(11.0).line("parse", 11.0);
        assert_eq!(line, "parse: 11.0 k instructions, +10.0 % of 10.0 k: ABOVE the bound of +5 %");
        let line = compared(8.0).line("parse", 8.0);
        assert!(line.ends_with("hint: record what was won: cargo xtask counts --update parse"), "{line}");
    }

    #[test]
    fn an_operation_without_a_bound_fails() {
        let comparison = bounds().compare("seal", false, &bounds().toolchain, 1.0);
        assert_eq!(comparison, Comparison::Unknown);
        assert!(comparison.is_failure());
    }

    #[test]
    fn with_other_programs_nothing_fails() {
        let used = [("rustc".to_owned(), "1.96".to_owned())].into();
        let comparison = bounds().compare("parse", false, &used, 100.0);
        assert!(!comparison.is_failure());
        assert!(comparison.line("parse", 100.0).contains("100.0 k instructions, +900.0 % of 10.0 k"));
        assert!(!bounds().compare("seal", false, &used, 100.0).is_failure());
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        assert_eq!(Bounds::parse(&bounds().text()), Some(bounds()));
        assert_eq!(Bounds::parse("{}"), None);
        let precise = Bounds { thousands: [("parse".to_owned(), 10.123_456)].into(), ..bounds() };
        assert!(precise.text().contains("\"parse\": 10.1\n"), "{}", precise.text());
    }
}
