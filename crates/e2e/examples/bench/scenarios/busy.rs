//! The memory of a worker whose slots are all in use.

use super::interleaved;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Samples, Section, Table, progress};
use crate::roles::{Generation, Server};
use crate::statistics::{Spread, shown};

const INTRO: &str = "\
Each task waits for 200 ms, so that all slots are in use at once; each slot does five tasks. The memory is the peak of the \
whole process. The log is at `warning`, and results are kept in memory.";

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let all = options.slots(&[1, 10, 100, 1_000], &[1, 1_000]);
    progress(&format!("{} numbers of slots", all.len()));
    let rounds = interleaved(options.rounds().min(3), &all, |slots| peak(*slots))?;
    let mut table = Table::new(
        "Memory with all slots in use",
        &["slots", "peak MiB", "MiB more than with the fewest slots"],
    );
    let mut samples = Vec::new();
    for (slots, peaks) in all.iter().zip(&rounds) {
        let more: Vec<f64> = peaks.iter().zip(&rounds[0]).map(|(peak, fewest)| peak - fewest).collect();
        table.row([shown(*slots as f64, 0), Spread::of(peaks).shown(1), Spread::of(&more).shown(1)]);
        samples.push(Samples {
            what: format!("slots: {slots}"),
            figure: "peak MiB".to_owned(),
            values: peaks.clone(),
        });
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
    let server = Server::start(Generation::Newer)?;
    let (slots, tasks) = (slots.to_string(), (slots * 5).to_string());
    let mut worker =
        Peer::role(&["worker", &server.url, &slots, &tasks, "--wait", "200", "--log", "warning"])?;
    let [_, _, peak] = worker.numbers()?;
    worker.end()?;
    server.peer.end()?;
    Ok(peak)
}
