//! What is found out about a promise.

use serde::Serialize;

use crate::supervision::End;

/// Whether a worker keeps a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It does.
    Held,
    /// It does not.
    Broken,
    /// That could not be found out.
    Skipped,
}

impl Verdict {
    /// The word for people and programs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
        }
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
}

impl Finding {
    pub(super) fn held(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Held, reason: reason.into() }
    }

    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Broken, reason: reason.into() }
    }

    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, reason: reason.into() }
    }
}

/// Returns a number with a word, in the plural unless it is 1.
pub(super) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// Says how the worker ended, as the rest of a sentence.
pub(super) fn ended(end: End) -> String {
    match end {
        End::Exited(_) => end.to_string(),
        End::Killed(_) => format!("was {end}"),
    }
}
