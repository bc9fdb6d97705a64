//! The rounds, and the section of the report.

use std::fs;
use std::path::Path;

use super::place::pattern;
use super::{Kind, SENT};
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Bar, Bars, Plot, Samples, Section, Table, progress};
use crate::scenarios::interleaved;
use crate::statistics::{Spread, shown};

const CLIENTS: [(&str, &str); 2] = [("bare `object_store`", "files-bare"), ("worker", "files-worker")];

/// The sizes of what is moved.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    mib: usize,
    objects: usize,
}

/// Measures the transfers.
pub(crate) fn run(options: &Options) -> Result<Section, String> {
    let usual = if options.is_quick { (64, 500) } else { (256, 2_000) };
    let sizes = Sizes { mib: options.mib.unwrap_or(usual.0), objects: options.objects.unwrap_or(usual.1) };
    let (mut table, mut bars, mut samples) = (table(), Vec::new(), Vec::new());
    let mut place = Peer::role(&["files-place", &(sizes.mib << 20).to_string(), &sizes.objects.to_string()])?;
    let address = place.line()?;
    for kind in Kind::ALL {
        progress(kind.name());
        let rounds = interleaved(options.rounds().min(3), &CLIENTS, |(_, role)| {
            round(role, kind, sizes, (&options.scratch, &address), &mut place)
        })?;
        let seconds: Vec<Vec<f64>> =
            rounds.iter().map(|figures| figures.iter().map(|(seconds, _)| *seconds).collect()).collect();
        let amount = kind.amount(sizes);
        for (number, (client, _)) in CLIENTS.iter().enumerate() {
            let spread = Spread::of(&seconds[number]);
            let memory = rounds[number].iter().map(|(_, memory)| *memory).fold(0.0, f64::max);
            let ratio = Spread::of_ratios(&seconds[0], &seconds[number]);
            table.row([
                kind.what(sizes),
                (*client).to_owned(),
                spread.shown(2),
                shown(amount.0 / spread.median, 0) + " " + amount.1,
                shown(memory, 1),
                if number == 0 { "1".to_owned() } else { ratio.shown(2) },
            ]);
            bars.push(Bar { group: kind.what(sizes), label: (*client).to_owned(), spread });
            samples.push(Samples {
                what: format!("{}, {client}", kind.what(sizes)),
                figure: "seconds".to_owned(),
                values: seconds[number].clone(),
            });
        }
    }
    place.end()?;
    Ok(section(table, bars, samples))
}

fn table() -> Table {
    let columns = ["files", "client", "seconds", "per second", "peak MiB", "speed, ratio to the bare loop"];
    Table::new("Files", &columns)
}

fn section(table: Table, bars: Vec<Bar>, samples: Vec<Samples>) -> Section {
    let plot = Bars {
        name: "files".to_owned(),
        title: "Time to move files".to_owned(),
        unit: "seconds".to_owned(),
        values: bars,
    };
    Section {
        title: "Files in S3".to_owned(),
        intro: "A task moves files between the local S3 of the development orchestrator, a process of its own, and a \
                directory on disk. Beside it, a bare loop of `object_store` moves the same objects, with as many \
                requests at once (8), in the same parts (8 MiB), into and out of the same directory. The worker's time \
                is that of the whole task as its orchestrator sees it, from the submission to the result. Neither \
                client waits until the disk has written everything."
            .to_owned(),
        tables: vec![table],
        plots: vec![Plot::Bars(plot)],
        samples,
    }
}

/// Lets one of the two clients move the files once, in a temporary directory. Returns the seconds and the peak memory.
fn round(
    role: &str,
    kind: Kind,
    sizes: Sizes,
    (scratch, address): (&Path, &str),
    place: &mut Peer,
) -> Result<(f64, f64), String> {
    let directory = tempfile::tempdir_in(scratch).map_err(|error| error.to_string())?;
    if kind == Kind::Up {
        let content = pattern(sizes.mib << 20);
        fs::write(directory.path().join(SENT), content).map_err(|error| error.to_string())?;
    }
    let path = directory.path().to_str().ok_or("the path of the temporary directory is not valid UTF-8")?;
    let mut client = Peer::role(&[role, kind.name(), path, address])?;
    let [seconds] = if role == "files-bare" {
        client.numbers()?
    } else {
        place.send(kind.name())?;
        place.numbers()?
    };
    client.close();
    let [_, _, memory] = client.numbers()?;
    client.end()?;
    Ok((seconds, memory))
}

impl Kind {
    fn what(self, sizes: Sizes) -> String {
        match self {
            Self::Down => format!("download of {} MiB", sizes.mib),
            Self::Up => format!("upload of {} MiB", sizes.mib),
            Self::Many => format!("download of {} objects of 2 KiB", shown(sizes.objects as f64, 0)),
        }
    }

    fn amount(self, sizes: Sizes) -> (f64, &'static str) {
        match self {
            Self::Down | Self::Up => (sizes.mib as f64, "MiB"),
            Self::Many => (sizes.objects as f64, "objects"),
        }
    }
}
