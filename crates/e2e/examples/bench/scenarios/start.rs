//! The time from the start of the process until the orchestrator knows the worker.

use std::time::Instant;

use testkit::Endpoint;

use super::interleaved;
use super::lone::{Lone, all};
use crate::options::Options;
use crate::report::{Samples, Section, Table, progress};
use crate::statistics::Spread;

const INTRO: &str = "\
From the start of the process to the arrival of `POST /_worker/workers/register` at a server on the same machine. The \
programs and the interpreters have been read from the disk before.";

pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let clients = all(options);
    progress(&format!("start of {} clients", clients.len()));
    // The first round only reads the files.
    let rounds = if options.is_quick { 4 } else { 8 };
    let figures = interleaved(rounds, &clients, registered)?;
    let mut table = Table::new("Start to registered", &["client", "ms"]);
    let mut samples = Vec::new();
    for (client, mut values) in clients.iter().zip(figures) {
        values.remove(0);
        table.row([client.name.clone(), Spread::of(&values).shown(1)]);
        samples.push(Samples {
            what: client.name.clone(),
            figure: "start to registered, ms".to_owned(),
            values,
        });
    }
    Ok(Section {
        title: "Start".to_owned(),
        intro: INTRO.to_owned(),
        tables: vec![table],
        plots: Vec::new(),
        samples,
    })
}

/// Returns the time in milliseconds.
fn registered(client: &Lone) -> Result<f64, String> {
    crate::roles::runtime()?.block_on(async {
        let server = client.server().await;
        let began = Instant::now();
        let process = client.start(&server)?;
        let requests = server.wait_for_requests(Endpoint::Register, 1).await;
        drop(process);
        server.stop().await;
        let first = requests.first().ok_or("there is no registration")?;
        Ok(first.at.duration_since(began).as_secs_f64() * 1e3)
    })
}
