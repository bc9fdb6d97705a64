//! What the log costs.

use super::clients::{Client, Comparison, FAIR, Figure, Setting};
use crate::options::Options;
use crate::report::{Bars, Plot, Section};
use crate::roles::Generation;
use crate::statistics::Spread;

/// With the older generation, which logs the same, only one number of slots is measured.
const OLDER_SLOTS: usize = 100;

const INTRO: &str = "\
The worker installs its own log (`logging::init`), which writes to standard error: a pipe, which the benchmark reads as \
fast as it can. At `info`, the default level, each task has two lines: its start and its end. `off` means that no log is \
installed at all.";

const LOGS: [(&str, &str); 4] = [
    ("worker, log off", "off"),
    ("worker, log at warning", "warning"),
    ("worker, log at info, text", "info-text"),
    ("worker, log at info, JSON", "info-json"),
];

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let mut clients = vec![Client::fair()];
    clients.extend(LOGS.map(|(name, log)| Client::role(name, "worker", &["--log", log])));
    let mut comparisons = Vec::new();
    for slots in options.slots(&[10, 100], &[100]) {
        let setting = Setting { generation: Generation::Newer, slots };
        comparisons.push(Comparison::measure(options, &clients, setting)?);
    }
    let setting = Setting { generation: Generation::Older, slots: OLDER_SLOTS };
    comparisons.push(Comparison::measure(options, &clients, setting)?);
    let plot = Bars {
        name: "log-cpu".to_owned(),
        title: "Empty tasks with a log".to_owned(),
        unit: "CPU, µs per task".to_owned(),
        values: Comparison::bars(&comparisons, Figure::Cpu),
    };
    Ok(Section {
        title: "The log".to_owned(),
        intro: format!("{INTRO}\n\n{}", lines(&comparisons)?),
        tables: vec![Comparison::table(&comparisons, "Empty tasks with a log", FAIR)],
        plots: vec![Plot::Bars(plot)],
        samples: Comparison::samples(&comparisons),
    })
}

/// Proves that all lines arrived: of each task exactly two. A log that has dropped lines says so, which fails the
/// measurement itself.
fn lines(comparisons: &[Comparison]) -> Result<&'static str, String> {
    for (name, _) in &LOGS[2..] {
        for comparison in comparisons {
            let Spread { lowest, highest, .. } = comparison.spread(name, Figure::Lines);
            if [lowest, highest].iter().any(|lines| (lines - 2.0).abs() > f64::EPSILON) {
                return Err(format!("{name}: {lowest} to {highest} lines per task arrived, expected 2"));
            }
        }
    }
    Ok("All lines arrived: they were counted.")
}
