//! The verdicts, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::disaster::Disaster;
use super::finding::{Finding, Verdict};
use crate::output::{Printer, Style};

/// The whole of a drill.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    passed: bool,
    seconds: f64,
    worker: Tested,
    task: String,
    promises: Vec<Promise>,
}

/// The worker that went through it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Tested {
    pub(super) software: BTreeMap<String, String>,
    pub(super) skills: Vec<String>,
}

/// One promise.
#[derive(Debug, Serialize)]
pub(super) struct Promise {
    name: &'static str,
    verdict: Verdict,
    reason: String,
    read: String,
    seconds: f64,
    #[serde(skip)]
    disaster: Disaster,
}

impl Promise {
    pub(super) fn new(disaster: Disaster, finding: Finding, took: Duration) -> Self {
        let Finding { verdict, reason } = finding;
        // What a worker writes must not change the form of a line.
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let reason = rxon::text::excerpt_within(reason, 500);
        let (name, read, seconds) = (disaster.name(), disaster.read(), rounded(took));
        Self { name, verdict, reason, read, seconds, disaster }
    }

    /// Says how it ended, while others go on.
    pub(super) fn announce(&self, printer: &Printer) {
        let word = printer.note_paint().apply(style(self.verdict), format!("{:<7}", self.verdict.as_str()));
        printer.note(format_args!("{word} {} ({:.1} s)", self.name, self.seconds));
    }
}

impl Report {
    pub(super) fn new(worker: Tested, task: String, mut promises: Vec<Promise>, took: Duration) -> Self {
        let place = |promise: &Promise| Disaster::all().position(|disaster| disaster == promise.disaster);
        promises.sort_by_key(place);
        let passed = promises.iter().all(|promise| promise.verdict != Verdict::Broken);
        Self { passed, seconds: rounded(took), worker, task, promises }
    }

    /// Whether no promise was broken.
    pub(super) fn passed(&self) -> bool {
        self.passed
    }

    /// Prints it: as JSON, or as a line for each promise.
    pub(super) fn print(&self, printer: &Printer) -> anyhow::Result<()> {
        if printer.is_json() {
            printer.json(self)?;
        } else {
            let widest = self.promises.iter().map(|promise| promise.name.len()).max().unwrap_or_default();
            for promise in &self.promises {
                let word = format!("{:<7}", promise.verdict.as_str());
                let word = printer.data_paint().apply(style(promise.verdict), word);
                printer.data(format_args!(
                    "{word} {:<widest$}  {} ({})",
                    promise.name, promise.reason, promise.read
                ))?;
            }
        }
        let count = |verdict| self.promises.iter().filter(|promise| promise.verdict == verdict).count();
        printer.note(format_args!(
            "{} held, {} broken, {} skipped, in {:.0} s",
            count(Verdict::Held),
            count(Verdict::Broken),
            count(Verdict::Skipped),
            self.seconds
        ));
        Ok(())
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Held => Style::Green,
        Verdict::Broken => Style::Red,
        Verdict::Skipped => Style::Yellow,
    }
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
