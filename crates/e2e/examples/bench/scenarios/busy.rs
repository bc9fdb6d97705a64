//! The memory of a worker whose slots are all in use.

use std::thread;
use std::time::Duration;

use super::clients::{Client, Setting};
use super::interleaved;
use crate::measure::peak_memory_mib;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Samples, Section, Table, progress};
use crate::roles::{Dispatcher, Generation, Server};
use crate::statistics::{Spread, shown};

const INTRO: &str = "\
Each task waits for 200 ms, so that all slots are in use at once; each slot does five tasks. The memory is the peak of the \
whole process. An idle worker is one with as many slots that only waits, and has never had a task: its peak is taken one \
second after its start. The log is at `warning`, and results are kept in memory.";

/// The time in which an idle worker has started, and has sent all its polls.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let all = options.slots(&[1, 10, 100, 1_000], &[1, 1_000]);
    progress(&format!("{} numbers of slots", all.len()));
    let rounds = interleaved(options.rounds().min(3), &all, |slots| Ok([peak(*slots)?, idle(*slots)?]))?;
    let mut table =
        Table::new("Memory with all slots in use", &["slots", "peak MiB", "idle, MiB", "MiB more than idle"]);
    let mut samples = Vec::new();
    for (slots, rounds) in all.iter().zip(&rounds) {
        let of = |figure: fn(&[f64; 2]) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
        let (peaks, idle, more) =
            (of(|[peak, _]| *peak), of(|[_, idle]| *idle), of(|[peak, idle]| peak - idle));
        let [peak, waiting, more] = [&peaks, &idle, &more].map(|figures| Spread::of(figures).shown(1));
        table.row([shown(*slots as f64, 0), peak, waiting, more]);
        for (figure, values) in [("peak MiB", peaks), ("idle, MiB", idle)] {
            samples.push(Samples { what: format!("slots: {slots}"), figure: figure.to_owned(), values });
        }
    }
    Ok(Section {
        title: "Memory with all slots in use".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![table],
        plots: Vec::new(),
        samples,
    })
}

/// The peak memory of a worker with so many slots, in MiB.
fn peak(slots: usize) -> Result<f64, String> {
    let mut server = Server::start(Generation::Newer, slots * 5)?;
    let (slots, tasks) = (slots.to_string(), (slots * 5).to_string());
    let mut worker =
        Peer::role(&["worker", &server.url, &slots, &tasks, "--wait", "200", "--log", "warning"])?;
    server.all_results(&mut worker)?;
    worker.send("end")?;
    let [_, _, peak] = worker.numbers()?;
    worker.end()?;
    server.peer.end()?;
    Ok(peak)
}

/// The peak memory of a worker with so many slots that only waits, in MiB.
fn idle(slots: usize) -> Result<f64, String> {
    let dispatcher = Dispatcher::start(Generation::Newer)?;
    let setting = Setting { generation: Generation::Newer, slots };
    let worker = Peer::start(Client::worker("worker", &[]).endless(&dispatcher.url, setting)?)?;
    thread::sleep(IDLE);
    let peak = peak_memory_mib(&worker.id().to_string());
    drop(worker);
    dispatcher.end()?;
    Ok(peak)
}
