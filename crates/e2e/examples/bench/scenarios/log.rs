//! What the log costs.

use super::clients::{Client, Comparison, FAIR, Figure, Setting};
use crate::options::Options;
use crate::report::{Bar, Bars, Plot, Section};
use crate::roles::Generation;

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
    let bars = comparisons.iter().flat_map(|comparison| {
        comparison.rows.iter().map(|(client, _)| Bar {
            group: format!("slots: {}", comparison.setting.slots),
            label: client.clone(),
            spread: comparison.spread(client, Figure::Cpu),
        })
    });
    let plot = Bars {
        name: "log-cpu".to_owned(),
        title: "Empty tasks with a log".to_owned(),
        unit: "CPU, µs per task".to_owned(),
        bars: bars.collect(),
    };
    Ok(Section {
        title: "The log".to_owned(),
        intro: format!("{INTRO}\n\n{}", lines(&comparisons)),
        tables: vec![Comparison::table(&comparisons, "Empty tasks with a log", FAIR)],
        plots: vec![Plot::Bars(plot)],
        samples: Comparison::samples(&comparisons),
    })
}

/// Says whether all lines arrived.
fn lines(comparisons: &[Comparison]) -> String {
    let arrived = LOGS[2..].iter().flat_map(|(name, _)| {
        comparisons.iter().map(|comparison| comparison.spread(name, Figure::Lines).lowest)
    });
    let fewest = arrived.fold(f64::INFINITY, f64::min);
    if fewest >= 2.0 {
        "All lines arrived: none was dropped.".to_owned()
    } else {
        format!(
            "Lines were dropped, because the pipe was read too slowly: of one run only {fewest:.3} per task arrived."
        )
    }
}
