//! The Python package beside the Rust worker and the existing packages.

use super::clients::{Client, Comparison, Figure, Setting};
use super::interleaved;
use crate::options::{Interpreter, Options};
use crate::process::Peer;
use crate::report::{Bars, Plot, Section, Table, progress};
use crate::roles::Generation;
use crate::statistics::{Spread, shown};

const INTRO: &str = "\
Handlers that do nothing, in Python: `async` takes `(params, **kwargs)`, `named` is async and takes \
`(params, task_id, job_id)`, `sync` is a plain function, which runs on a thread. The environment of each client has no \
other packages. The existing packages do fewer tasks per round, since they are slow, and each works with the generation that \
it was made for: `avtomatika-worker` 1.0b4 with the older, 1.0b20 with the newer one. The log is at `error`: the existing packages write theirs to standard output.";

/// The worker with which the others are compared.
const RUST: &str = "worker in Rust, async";

/// The existing package that speaks the older generation; all others speak the newer one.
pub(super) const OLDER: &str = "1.0b4";

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let Some(usual) = options.pythons.first() else {
        let intro = "Not measured: `cargo xtask bench` installs what it needs.".to_owned();
        let title = "Python".to_owned();
        return Ok(Section { title, intro, tables: Vec::new(), plots: Vec::new(), samples: Vec::new() });
    };
    let mut newer = vec![Client::worker(RUST, &[])];
    for python in &options.pythons {
        newer.push(ours(python, "async"));
        if python == usual {
            newer.push(ours(python, "named"));
        }
        newer.push(ours(python, "sync"));
    }
    let mut older = vec![Client::worker(RUST, &[]), ours(usual, "async")];
    for package in &options.existing {
        let clients = if package.version == OLDER { &mut older } else { &mut newer };
        clients.push(existing(package));
    }

    // These clients are many, and slow.
    let rounds = options.rounds().min(if options.is_quick { 2 } else { 3 });
    let mut comparisons = Vec::new();
    for (generation, clients) in [(Generation::Newer, newer), (Generation::Older, older)] {
        for slots in options.slots(&[1, 10, 100], &[1, 100]) {
            let setting = Setting { generation, slots };
            comparisons.push(Comparison::measure_rounds(options, rounds, &clients, setting)?);
        }
    }
    let mut bars = Comparison::bars(&comparisons, Figure::Cpu);
    bars.retain(|bar| bar.label != RUST);
    let plot = Bars {
        name: "python-cpu".to_owned(),
        title: "Empty tasks in Python".to_owned(),
        unit: "CPU, µs per task".to_owned(),
        values: bars,
    };
    Ok(Section {
        title: "Python".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![
            Comparison::table(&comparisons, "Empty tasks in Python", RUST),
            beside_existing(options, &comparisons, usual),
            starts(options)?,
        ],
        plots: vec![Plot::Bars(plot)],
        samples: Comparison::samples(&comparisons),
    })
}

fn ours(python: &Interpreter, kind: &'static str) -> Client {
    Client::python(format!("Python {}, {kind}", python.version), &python.program, kind, (3, 3))
}

fn existing(package: &Interpreter) -> Client {
    // With one slot, the newer one pauses between tasks.
    let one_of = if package.version == OLDER { (20, 20) } else { (500, 20) };
    Client::python(existing_name(package), &package.program, "async", one_of)
}

fn existing_name(package: &Interpreter) -> String {
    format!("avtomatika-worker {}", package.version)
}

/// Ours as multiples of the existing packages.
fn beside_existing(options: &Options, comparisons: &[Comparison], usual: &Interpreter) -> Table {
    let columns = ["beside", "slots", "times the tasks/s", "times the CPU per task"];
    let caption = format!("This package (Python {}, async) beside the existing ones", usual.version);
    let mut table = Table::new(&caption, &columns);
    let ours = format!("Python {}, async", usual.version);
    for comparison in comparisons {
        for package in &options.existing {
            let theirs = existing_name(package);
            let ratio = |figure| comparison.ratio(&ours, &theirs, figure);
            if let (Some(rate), Some(cpu)) = (ratio(Figure::Rate), ratio(Figure::Cpu)) {
                let slots = shown(comparison.setting.slots as f64, 0);
                table.row([theirs, slots, rate.shown(1), cpu.shown(3)]);
            }
        }
    }
    table
}

/// The time of the import and the memory of a worker that waits.
fn starts(options: &Options) -> Result<Table, String> {
    let ours =
        options.pythons.iter().map(|python| (format!("this package, Python {}", python.version), python));
    let existing = options.existing.iter().map(|package| (existing_name(package), package));
    let clients: Vec<(String, &Interpreter)> = ours.chain(existing).collect();
    progress("import and idle memory");
    let figures = interleaved(options.rounds().min(3), &clients, |(_, interpreter)| {
        // Nothing listens at this address, so the worker has nothing to do.
        let mut client =
            Peer::start(super::clients::python(&interpreter.program, "http://127.0.0.1:1", &["10", "0"]))?;
        let figures: [f64; 3] = client.numbers()?;
        Ok(figures)
    })?;
    let columns = ["package", "import, ms", "a worker is made, ms", "memory when idle, MiB"];
    let mut table = Table::new("Import, start and memory", &columns);
    for ((name, _), rounds) in clients.into_iter().zip(figures) {
        let shown = |place: usize| {
            let figures: Vec<f64> = rounds.iter().map(|figures| figures[place]).collect();
            Spread::of(&figures).shown(1)
        };
        table.row([name, shown(0), shown(1), shown(2)]);
    }
    Ok(table)
}
