//! Whether a task costs more after many tasks.

use super::clients::{Client, Setting};
use crate::measure::memory_mib;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Line, Lines, Plot, Point, Samples, Scale, Section, Table, progress};
use crate::roles::{Dispatcher, Generation};
use crate::statistics::{Spread, shown};

const INTRO: &str = "\
One worker in Rust, 100 slots, newer generation, the log at `warning`: empty tasks, in ten parts of the \
same size. Between the parts the worker waits for a moment, without tasks.";

const SLOTS: usize = 100;
const PARTS: usize = 10;

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let tasks = if options.is_quick { 100_000 } else { 1_000_000 };
    progress(&format!("{} tasks", shown(tasks as f64, 0)));
    let client = Client::worker("worker, async", &[]);
    let mut dispatcher = Dispatcher::start(Generation::Newer)?;
    let setting = Setting { generation: Generation::Newer, slots: SLOTS };
    let worker = Peer::start(client.endless(&dispatcher.url, setting)?)?;
    // Its start is not a part of the first tenth.
    dispatcher.full(100)?;
    let columns = ["after tasks", "tasks/s", "CPU µs per task", "memory, MiB"];
    let mut table = Table::new("Many tasks by one worker", &columns);
    let (mut cpus, mut memories, mut points) = (Vec::new(), Vec::new(), Vec::new());
    let part = tasks / PARTS;
    for number in 1..=PARTS {
        let before = worker.cpu_seconds();
        let rate = dispatcher.full(part)?;
        let cpu = (worker.cpu_seconds() - before) / part as f64 * 1e6;
        let memory = memory_mib(&worker.id().to_string(), "VmRSS:");
        let after = (number * part) as f64;
        table.row([shown(after, 0), shown(rate, 0), shown(cpu, 1), shown(memory, 1)]);
        points.push(Point { x: after, y: Spread::of(&[cpu]) });
        cpus.push(cpu);
        memories.push(memory);
    }
    drop(worker);
    dispatcher.end()?;
    let ends = [&cpus, &memories].map(|figures| figures[PARTS - 1] / figures[0]);
    let mut last = Table::new("The last tenth beside the first", &["figure", "ratio"]);
    last.row(["CPU per task".to_owned(), shown(ends[0], 2)]);
    last.row(["memory".to_owned(), shown(ends[1], 2)]);
    let sample = |figure: &str, values| Samples {
        what: format!("{tasks} tasks, by tenths"),
        figure: figure.to_owned(),
        values,
    };
    Ok(Section {
        title: "A million tasks".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![table, last],
        plots: vec![Plot::Lines(Lines {
            name: "million-cpu".to_owned(),
            title: "Many tasks by one worker".to_owned(),
            x: ("tasks".to_owned(), Scale::Linear),
            y: ("CPU, µs per task".to_owned(), Scale::Linear),
            series: vec![Line { label: "worker, async".to_owned(), points }],
        })],
        samples: vec![sample("CPU µs per task", cpus), sample("memory, MiB", memories)],
    })
}
