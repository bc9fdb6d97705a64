//! Results that survive a crash: the outbox on disk.

use super::clients::{Client, Comparison, Figure, Setting};
use crate::options::Options;
use crate::report::{Bars, Plot, Section};
use crate::roles::Generation;

const INTRO: &str = "\
With `WORKER_OUTBOX_DIR` each result is on disk before it is sent, so that it survives a crash of the worker or of the \
machine. The directory is on the disk of the workspace. Results that end at about the same time share one wait for the \
disk: the more slots, the more results per wait.";

const MEMORY: &str = "worker, results in memory";
const DISK: &str = "worker, outbox on disk";

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let clients = [Client::worker(MEMORY, &[]), Client::worker(DISK, &[]).with_outbox()];
    let mut comparisons = Vec::new();
    for slots in options.slots(&[1, 10, 100, 1_000], &[100]) {
        let setting = Setting { generation: Generation::Newer, slots };
        comparisons.push(Comparison::measure(options, &clients, setting)?);
    }
    let plot = Bars {
        name: "outbox-rate".to_owned(),
        title: "Empty tasks with an outbox".to_owned(),
        unit: "tasks/s".to_owned(),
        values: Comparison::bars(&comparisons, Figure::Rate),
    };
    Ok(Section {
        title: "The outbox on disk".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![Comparison::table(&comparisons, "Empty tasks with an outbox", MEMORY)],
        plots: vec![Plot::Bars(plot)],
        samples: Comparison::samples(&comparisons),
    })
}
