//! The time that one task takes: on a held poll, and with tasks that arrive whatever the client does.

use super::clients::{Client, Setting};
use super::interleaved;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Line, Lines, Plot, Point, Samples, Scale, Section, Table, progress};
use crate::roles::{Dispatcher, Generation};
use crate::statistics::{Spread, percentile, shown};

const INTRO: &str = "\
*Held poll*: the server holds the client's polls, hands out one task at a random moment, and measures from its write to the \
arrival of the result. *Load*: tasks arrive by a Poisson process, at a share of what the same process has just done at full \
speed, and each is measured from the moment at which it was to arrive: a task that waits for others counts with its wait. \
10 slots, newer generation, the log at `warning`. The percentiles are those of the tasks of all rounds; p50 has the spread \
of the rounds. p99.9 is given for at least 5,000 tasks.";

const SLOTS: usize = 10;

/// The tasks before the first measurement.
const WARM_UP: usize = 500;

/// The number of tasks from which p99.9 is more than the chance of a few of them.
const MANY: usize = 5_000;

/// The shares of a client's capacity.
const LOADS: [f64; 3] = [0.1, 0.5, 0.8];

/// The times of one client in one round, in microseconds, and its capacity in tasks per second.
struct Round {
    held: Vec<f64>,
    capacity: f64,
    loaded: [Vec<f64>; LOADS.len()],
}

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let mut clients = vec![
        Client::fair(),
        Client::worker("worker, async", &[]),
        Client::worker("worker, blocking", &["--blocking"]),
    ];
    if let Some(python) = options.pythons.first() {
        let name = format!("Python {}, async", python.version);
        clients.push(Client::python(name, &python.program, "async", (1, 1)));
    }
    progress(&format!("latency of {} clients", clients.len()));
    let rounds = if options.is_quick { 1 } else { options.rounds().min(3) };
    let figures = interleaved(rounds, &clients, |client| measure(options, client))?;

    let columns = ["client", "load", "tasks", "p50, µs", "p99, µs", "p99.9, µs"];
    let mut table = Table::new("Latency of one task", &columns);
    let (mut samples, mut lines) = (Vec::new(), Vec::new());
    for (client, rounds) in clients.iter().zip(&figures) {
        let name = &client.name;
        let held: Vec<&[f64]> = rounds.iter().map(|round| round.held.as_slice()).collect();
        row(&mut table, &mut samples, (name, "held poll"), &held);
        let mut points = Vec::new();
        for (place, load) in LOADS.iter().enumerate() {
            let loaded: Vec<&[f64]> = rounds.iter().map(|round| round.loaded[place].as_slice()).collect();
            let capacity = Spread::of(&rounds.iter().map(|round| round.capacity).collect::<Vec<_>>()).median;
            let text = format!("{:.0} % of {} tasks/s", load * 100.0, shown(capacity, 0));
            let y = row(&mut table, &mut samples, (name, &text), &loaded);
            points.push(Point { x: load * 100.0, y });
        }
        lines.push(Line { label: name.clone(), points });
    }
    let plot = Lines {
        name: "latency-load".to_owned(),
        title: "p99 of a task's time by load".to_owned(),
        x: ("load, % of the client's capacity".to_owned(), Scale::Linear),
        y: ("µs".to_owned(), Scale::Log),
        series: lines,
    };
    Ok(Section {
        title: "Latency".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![table],
        plots: vec![Plot::Lines(plot)],
        samples,
    })
}

fn measure(options: &Options, client: &Client) -> Result<Round, String> {
    let (held, full, seconds) = if options.is_quick { (300, 4_000, 0.5) } else { (1_700, 6_000, 1.5) };
    let mut dispatcher = Dispatcher::start(Generation::Newer)?;
    let setting = Setting { generation: Generation::Newer, slots: SLOTS };
    // It ends when it is dropped, long before it has done so many tasks.
    let running = Peer::start(client.endless(&dispatcher.url, setting)?)?;
    let named = |problem| format!("{}: {problem}", client.name);
    // The start of the process and the registration are no part of the capacity.
    dispatcher.full(WARM_UP).map_err(named)?;
    let capacity = dispatcher.full(full).map_err(named)?;
    let held = dispatcher.held(held).map_err(named)?;
    let mut loaded = LOADS.map(|_| Vec::new());
    for (times, load) in loaded.iter_mut().zip(LOADS) {
        let rate = capacity * load;
        *times = dispatcher.open(rate, (rate * seconds).ceil() as usize).map_err(named)?;
    }
    drop(running);
    dispatcher.end()?;
    Ok(Round { held, capacity, loaded })
}

/// Adds the percentiles of a client at a load. Returns p99.
fn row(
    table: &mut Table,
    samples: &mut Vec<Samples>,
    (client, load): (&str, &str),
    rounds: &[&[f64]],
) -> Spread {
    let sorted = |times: &mut Vec<f64>| times.sort_by(f64::total_cmp);
    let mut all = rounds.concat();
    sorted(&mut all);
    let of_rounds = |per_cent: f64| -> Vec<f64> {
        let each = rounds.iter().map(|times| {
            let mut times = times.to_vec();
            sorted(&mut times);
            percentile(&times, per_cent)
        });
        each.collect()
    };
    let p50 = of_rounds(50.0);
    table.row([
        client.to_owned(),
        load.to_owned(),
        shown(all.len() as f64, 0),
        Spread::of(&p50).shown(0),
        shown(percentile(&all, 99.0), 0),
        if all.len() < MANY { "–".to_owned() } else { shown(percentile(&all, 99.9), 0) },
    ]);
    let p99 = of_rounds(99.0);
    for (figure, values) in [("p50, µs", p50), ("p99, µs", p99.clone())] {
        samples.push(Samples { what: format!("{client}, {load}"), figure: figure.to_owned(), values });
    }
    Spread::of(&p99)
}
