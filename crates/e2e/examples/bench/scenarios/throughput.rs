//! Empty tasks as fast as they go: the worker beside the two bare clients.

use super::clients::{Client, Comparison, FAIR, Figure, Setting};
use crate::options::Options;
use crate::report::{Bars, Line, Lines, Plot, Point, Scale, Section};
use crate::roles::Generation;

const INTRO: &str = "\
The server answers every poll with a task at once, and the handler does nothing. The log is at `warning`, which writes \
nothing here; results are kept in memory.";

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let mut comparisons = Vec::new();
    let mut plots = Vec::new();
    for generation in [Generation::Newer, Generation::Older] {
        let mut clients = vec![Client::plain(), Client::fair(), Client::worker("worker, async", &[])];
        if generation == Generation::Newer {
            clients.push(Client::worker("worker, blocking", &["--blocking"]));
        }
        let first = comparisons.len();
        for slots in options.slots(&[1, 10, 100, 1_000], &[1, 100]) {
            comparisons.push(Comparison::measure(options, &clients, Setting { generation, slots })?);
        }
        plots.push(rates(&comparisons[first..], &clients, generation));
        plots.push(cpu(&comparisons[first..], generation));
    }
    Ok(Section {
        title: "Empty tasks".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![Comparison::table(&comparisons, "Empty tasks", FAIR)],
        plots,
        samples: Comparison::samples(&comparisons),
    })
}

fn rates(comparisons: &[Comparison], clients: &[Client], generation: Generation) -> Plot {
    let lines = clients.iter().map(|client| {
        let points = comparisons.iter().map(|comparison| Point {
            x: comparison.setting.slots as f64,
            y: comparison.spread(&client.name, Figure::Rate),
        });
        Line { label: client.name.clone(), points: points.collect() }
    });
    Plot::Lines(Lines {
        name: format!("throughput-{}-rate", generation.name()),
        title: format!("Empty tasks per second, {} generation", generation.name()),
        x: ("slots".to_owned(), Scale::Log),
        y: ("tasks/s".to_owned(), Scale::Linear),
        series: lines.collect(),
    })
}

fn cpu(comparisons: &[Comparison], generation: Generation) -> Plot {
    Plot::Bars(Bars {
        name: format!("throughput-{}-cpu", generation.name()),
        title: format!("Empty tasks, {} generation", generation.name()),
        unit: "CPU, µs per task".to_owned(),
        values: Comparison::bars(comparisons, Figure::Cpu),
    })
}
