//! The development server as people start it: `avtomatika dev`.

mod page;
mod server;

use self::page::Page;
use self::server::{Dev, SLOTS};
use super::interleaved;
use crate::measure::{memory_mib, peak_memory_mib};
use crate::options::Options;
use crate::report::{Samples, Section, Table, progress};
use crate::statistics::{Spread, shown};

const INTRO: &str = "\
`avtomatika dev` with its local S3, one worker in Rust with 10 slots, and tasks with small parameters, submitted a \
thousand at once. \"Ready\" is the time from the start of the process to its first line, when both ports listen. The \
reader reads `/api/events`, and asks for counts and the newest tasks every two seconds, as the page in a \
browser does.";

/// The number of tasks that are remembered by default.
const REMEMBERED: usize = 100_000;

/// The figures of some tasks.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Tasks per second.
    rate: f64,
    /// Microseconds of the server's processor time per task.
    cpu: f64,
}

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let mut samples = Vec::new();
    let mut add = |what: &str, figure: &str, values: &[f64]| {
        let (what, figure) = (what.to_owned(), figure.to_owned());
        samples.push(Samples { what, figure, values: values.to_vec() });
    };

    progress("start of `avtomatika dev`");
    let mut ready = (0..=options.rounds()).map(|_| Dev::start().map(|dev| dev.ready * 1e3));
    // The first round only reads the file.
    let _ = ready.next().transpose()?;
    let ready = ready.collect::<Result<Vec<f64>, String>>()?;
    add("avtomatika dev", "start to ready, ms", &ready);

    let tasks = options.tasks(SLOTS) * 2;
    progress(&format!("{tasks} tasks, with and without a reader"));
    let figures = interleaved(options.rounds(), &[false, true], |has_page| measure(tasks, *has_page))?;
    let of =
        |place: usize, figure: fn(&Figures) -> f64| figures[place].iter().map(figure).collect::<Vec<_>>();
    let rates = [of(0, |figures| figures.rate), of(1, |figures| figures.rate)];
    let cpus = [of(0, |figures| figures.cpu), of(1, |figures| figures.cpu)];
    for (what, place) in [("without a reader", 0), ("with a reader", 1)] {
        add(what, "tasks/s", &rates[place]);
        add(what, "CPU µs of the server per task", &cpus[place]);
    }
    let mut through = Table::new("Tasks through the server", &["", "tasks/s", "server, CPU µs per task"]);
    for (what, place) in [("without a reader", 0), ("with a reader", 1)] {
        let cells = [Spread::of(&rates[place]).shown(0), Spread::of(&cpus[place]).shown(0)];
        through.row([what.to_owned(), cells[0].clone(), cells[1].clone()]);
    }

    progress(&format!("{REMEMBERED} remembered tasks"));
    let (memory, peak) = remembered()?;
    add("100,000 tasks", "memory of the server, MiB", &[memory]);
    add("100,000 tasks", "peak memory of the server, MiB", &[peak]);

    let mut goals = Table::new("Goals", &["figure", "goal", "measured"]);
    let mut goal = |figure: &str, goal: &str, measured: String| {
        goals.row([figure.to_owned(), goal.to_owned(), measured]);
    };
    goal("start to ready, ms", "at most 1,000", Spread::of(&ready).shown(0));
    goal("tasks/s with a reader", "at least 2,000", Spread::of(&rates[1]).shown(0));
    let ratio = Spread::of_ratios(&rates[0], &rates[1]);
    goal("time with a reader beside without", "at most 1.3", ratio.shown(2));
    goal("memory with 100,000 tasks, MiB", "at most 600", shown(memory, 0));
    goal("its peak, MiB", "", shown(peak, 0));
    Ok(Section {
        title: "The development server".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![goals, through],
        plots: Vec::new(),
        samples,
    })
}

/// Lets a worker do so many tasks.
fn measure(tasks: usize, has_page: bool) -> Result<Figures, String> {
    let mut dev = Dev::start()?;
    let page = has_page.then(|| Page::open(&dev.url)).transpose()?;
    let worker = dev.worker(tasks)?;
    let cpu = dev.process.cpu_seconds();
    let seconds = dev.run(tasks)?;
    let figures =
        Figures { rate: tasks as f64 / seconds, cpu: (dev.process.cpu_seconds() - cpu) / tasks as f64 * 1e6 };
    drop(worker);
    if let Some(page) = page {
        // The reader ends with the server.
        drop(dev);
        page.check()?;
    }
    Ok(figures)
}

/// Returns the memory in MiB, now and at its peak, of a server that remembers as many tasks as it does by default.
fn remembered() -> Result<(f64, f64), String> {
    let mut dev = Dev::start()?;
    let worker = dev.worker(REMEMBERED)?;
    dev.run(REMEMBERED)?;
    let total = dev.get("/api/tasks?limit=1")?["total"].clone();
    if total != REMEMBERED {
        return Err(format!("{total} tasks are remembered, expected {REMEMBERED}"));
    }
    let id = dev.process.id().to_string();
    let figures = (memory_mib(&id, "VmRSS:"), peak_memory_mib(&id));
    drop(worker);
    Ok(figures)
}
