//! The processor time and memory of a worker that has nothing to do.

use std::fs;
use std::time::Duration;

use testkit::Endpoint;

use super::lone::{Lone, all};
use crate::measure::memory_mib;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Samples, Section, Table, progress};
use crate::statistics::shown;

const INTRO: &str = "\
Workers that are registered and poll, with the default heartbeats, at a server that has no tasks and holds each poll for \
30 s. All wait at the same time, each at a server of its own. The processor time is extrapolated to an hour.";

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let clients = all(options);
    // Whole turns of heartbeats (15 s) and polls (30 s).
    let (settling, measured) = if options.is_quick { (3, 30) } else { (5, 60) };
    progress(&format!("{} idle clients, {} s", clients.len(), settling + measured));
    let used = crate::roles::runtime()?.block_on(async {
        let mut running: Vec<(&Lone, _, Peer)> = Vec::new();
        for client in &clients {
            let server = client.server().await;
            let process = client.start(&server)?;
            server.wait_for_requests(Endpoint::Register, 1).await;
            running.push((client, server, process));
        }
        tokio::time::sleep(Duration::from_secs(settling)).await;
        let before: Vec<f64> = running.iter().map(|(.., process)| cpu_seconds(process.id())).collect();
        tokio::time::sleep(Duration::from_secs(measured)).await;
        let used = running.iter().zip(before).map(|((client, _, process), before)| {
            let seconds = (cpu_seconds(process.id()) - before) * 3600.0 / measured as f64;
            (client.name.clone(), seconds, memory_mib(&process.id().to_string(), "VmRSS:"))
        });
        Ok::<_, String>(used.collect::<Vec<_>>())
    })?;
    let mut table = Table::new("Idle workers", &["client", "CPU seconds per hour", "memory, MiB"]);
    let mut samples = Vec::new();
    for (name, cpu, memory) in used {
        table.row([name.clone(), shown(cpu, 2), shown(memory, 1)]);
        for (figure, value) in [("idle CPU, s per hour", cpu), ("idle memory, MiB", memory)] {
            samples.push(Samples { what: name.clone(), figure: figure.to_owned(), values: vec![value] });
        }
    }
    Ok(Section {
        title: "Idle".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![table],
        plots: Vec::new(),
        samples,
    })
}

/// The processor time of the threads of a process that are alive, in nanoseconds: an idle worker uses less than the
/// hundredths of a second of `/proc/PROCESS/stat`.
fn cpu_seconds(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    let of_thread = |thread: fs::DirEntry| {
        let schedule = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedule.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.filter_map(|thread| of_thread(thread.ok()?)).sum::<f64>() / 1e9
}
