//! The rounds of the benchmark of files, and its report.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout};

use super::place::pattern;
use super::{Kind, SENT};
use crate::number;
use crate::report::{highest, median, print_line, start};

/// The options of the benchmark.
#[derive(Debug)]
pub(crate) struct FilesPlan {
    /// The size of the large object, in bytes.
    large: usize,
    /// The number of small objects.
    many: usize,
    rounds: usize,
}

impl FilesPlan {
    pub(crate) fn parse(options: &[&str]) -> Result<Self, String> {
        let mut plan = Self { large: 1 << 30, many: 10_000, rounds: 3 };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().copied().ok_or_else(|| format!("`{option}` needs a value"));
            match *option {
                "--mib" => plan.large = number(value()?)? << 20,
                "--objects" => plan.many = number(value()?)?,
                "--rounds" => plan.rounds = number(value()?)?,
                other => {
                    return Err(format!("unknown option `{other}`, expected --mib, --objects or --rounds"));
                }
            }
        }
        Ok(plan)
    }
}

/// A process of the benchmark that answers line by line.
struct Peer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(arguments: &[&str]) -> Result<Self, String> {
        let mut child = start(arguments)?;
        let output = BufReader::new(child.stdout.take().ok_or("the output of the process is not piped")?);
        Ok(Self { child, output })
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.is_empty() {
            Err("a process of the benchmark ended".to_owned())
        } else {
            Ok(line.trim().to_owned())
        }
    }

    fn seconds(&mut self) -> Result<f64, String> {
        let line = self.line()?;
        line.parse().map_err(|_| format!("`{line}` is not a number of seconds"))
    }

    fn send(&mut self, line: &str) -> Result<(), String> {
        let input = self.child.stdin.as_mut().ok_or("the input of the process is not piped")?;
        writeln!(input, "{line}").map_err(|error| error.to_string())
    }

    /// Closes its input, and returns its peak memory in MiB, which is the last word of its last line.
    fn end(mut self) -> Result<f64, String> {
        drop(self.child.stdin.take());
        let line = self.line()?;
        self.child.wait().map_err(|error| error.to_string())?;
        let last = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        last.ok_or_else(|| format!("`{line}` is not a measurement"))
    }
}

/// The seconds and the peak memory of one of the two clients.
#[derive(Default)]
struct FilesFigures {
    seconds: Vec<f64>,
    memory: Vec<f64>,
}

/// Runs the benchmark, and prints its report.
pub(crate) fn run(plan: &FilesPlan) -> Result<(), String> {
    let FilesPlan { large, many, rounds } = plan;
    print_line(&format!(
        "one object of {} MiB, and {many} of 2 KiB; {rounds} rounds, interleaved; median (fastest to slowest)\n",
        large >> 20
    ));
    print_line(&format!(
        "{:<5}  {:<6}  {:>28}  {:>14}  {:>10}",
        "files", "client", "seconds", "per second", "peak MiB"
    ));
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut place = Peer::start(&["files-place", &large.to_string(), &many.to_string()])?;
    let address = place.line()?;
    for kind in Kind::ALL {
        let (mut bare, mut worker) = (FilesFigures::default(), FilesFigures::default());
        for _ in 0..*rounds {
            round("files-bare", kind, (directory.path(), *large), &address, &mut place, &mut bare)?;
            round("files-worker", kind, (directory.path(), *large), &address, &mut place, &mut worker)?;
        }
        let amount =
            if kind == Kind::Many { (*many as f64, "objects") } else { ((large >> 20) as f64, "MiB") };
        print_row(kind, "bare", &bare, amount);
        print_row(kind, "worker", &worker, amount);
        let ratio = median(&bare.seconds) / median(&worker.seconds);
        print_line(&format!("{:<5}  worker / bare: {ratio:.2} of the speed\n", kind.name()));
    }
    drop(place.child.stdin.take());
    place.child.wait().map_err(|error| error.to_string())?;
    Ok(())
}

/// Lets one of the two clients move the files once, in a temporary directory.
fn round(
    role: &str,
    kind: Kind,
    (parent, large): (&Path, usize),
    address: &str,
    place: &mut Peer,
    figures: &mut FilesFigures,
) -> Result<(), String> {
    let directory = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
    if kind == Kind::Up {
        fs::write(directory.path().join(SENT), pattern(large)).map_err(|error| error.to_string())?;
    }
    let path = directory.path().to_str().ok_or("the path of the temporary directory is not valid UTF-8")?;
    let mut client = Peer::start(&[role, kind.name(), path, address])?;
    let seconds = if role == "files-bare" {
        client.seconds()?
    } else {
        place.send(kind.name())?;
        place.seconds()?
    };
    figures.seconds.push(seconds);
    figures.memory.push(client.end()?);
    Ok(())
}

fn print_row(kind: Kind, client: &str, figures: &FilesFigures, (amount, unit): (f64, &str)) {
    let seconds = &figures.seconds;
    let (middle, fastest) = (median(seconds), seconds.iter().copied().fold(f64::INFINITY, f64::min));
    let shown = format!("{middle:.2} ({fastest:.2} to {:.2})", highest(seconds));
    let speed = format!("{:.0} {unit}", amount / middle);
    let memory = format!("{:.1}", highest(&figures.memory));
    print_line(&format!("{:<5}  {client:<6}  {shown:>28}  {speed:>14}  {memory:>10}", kind.name()));
}
