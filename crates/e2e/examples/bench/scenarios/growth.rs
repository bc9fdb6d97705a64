//! Whether a task costs more with more orchestrators, or with more registered tasks.

use super::interleaved;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Line, Lines, Plot, Point, Samples, Scale, Section, Table, progress};
use crate::roles::{Generation, Server};
use crate::statistics::{Spread, shown};

const INTRO: &str = "\
Empty tasks with 100 slots, as fast as they go; each orchestrator is a server in a process of its own, which takes processor \
time from the others. With many orchestrators the worker has one task registered, with many registered tasks one \
orchestrator. The log is at `warning`.";

const SLOTS: usize = 100;

/// A worker among so many.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    orchestrators: usize,
    registered: usize,
}

/// Tasks per second, microseconds of processor time per task, and the peak memory in MiB.
type Figures = [f64; 3];

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let orchestrators: &[usize] = if options.is_quick { &[1, 8] } else { &[1, 2, 4, 8] };
    let registered: &[usize] = if options.is_quick { &[1, 10_000] } else { &[1, 10, 100, 1_000, 10_000] };
    let by_orchestrators = orchestrators.iter().map(|&orchestrators| Place { orchestrators, registered: 1 });
    let by_registered = registered.iter().map(|&registered| Place { orchestrators: 1, registered });
    let places: Vec<Place> = by_orchestrators.chain(by_registered).collect();
    progress(&format!("growth: {} settings", places.len()));
    let rounds = if options.is_quick { 1 } else { options.rounds().min(3) };
    let figures = interleaved(rounds, &places, |place| measure(options, *place))?;
    let (first, second) = places.split_at(orchestrators.len());
    let (first_figures, second_figures) = figures.split_at(orchestrators.len());
    let mut samples = Vec::new();
    let mut tables = Vec::new();
    let mut plots = Vec::new();
    for (name, places, figures) in
        [("orchestrators", first, first_figures), ("registered tasks", second, second_figures)]
    {
        let number =
            |place: &Place| if name == "orchestrators" { place.orchestrators } else { place.registered };
        let columns = [name, "tasks/s", "CPU µs per task", "peak MiB"];
        let mut table = Table::new(&format!("Growth with {name}"), &columns);
        let mut points = Vec::new();
        for (place, rounds) in places.iter().zip(figures) {
            let of = |figure: usize| rounds.iter().map(|round| round[figure]).collect::<Vec<_>>();
            let spread = |figure| Spread::of(&of(figure));
            let x = number(place) as f64;
            table.row([shown(x, 0), spread(0).shown(0), spread(1).shown(1), shown(spread(2).highest, 1)]);
            points.push(Point { x, y: spread(1) });
            for (figure, unit) in [(0, "tasks/s"), (1, "CPU µs per task"), (2, "peak MiB")] {
                let what = format!("{name}: {}", number(place));
                samples.push(Samples { what, figure: unit.to_owned(), values: of(figure) });
            }
        }
        tables.push(table);
        plots.push(Plot::Lines(Lines {
            name: format!("growth-{}", name.replace(' ', "-")),
            title: format!("Growth with {name}"),
            x: (name.to_owned(), Scale::Log),
            y: ("CPU, µs per task".to_owned(), Scale::Linear),
            series: vec![Line { label: "worker, async".to_owned(), points }],
        }));
    }
    Ok(Section { title: "Growth".to_owned(), intro: INTRO.to_owned(), tables, plots, samples })
}

fn measure(options: &Options, place: Place) -> Result<Figures, String> {
    // They are used in turn, so that each hands out its share.
    let share = options.tasks(SLOTS) / place.orchestrators;
    let servers = (0..place.orchestrators).map(|_| Server::start(Generation::Newer, share));
    let mut servers = servers.collect::<Result<Vec<_>, _>>()?;
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let tasks = (share * place.orchestrators).to_string();
    let (urls, slots) = (urls.join(","), SLOTS.to_string());
    let registered = place.registered.to_string();
    let arguments = ["worker", &urls, &slots, &tasks, "--log", "warning", "--registered", &registered];
    let mut worker = Peer::role(&arguments)?;
    let done = servers.iter_mut().try_for_each(|server| server.all_results(&mut worker));
    let figures = done.and_then(|()| worker.send("end")).and_then(|()| worker.numbers());
    let figures = figures.map_err(|problem| format!("{place:?}: {problem}"))?;
    worker.end()?;
    servers.into_iter().try_for_each(|server| server.peer.end().map(drop))?;
    Ok(figures)
}
