//! The clients that are compared with empty tasks, and their figures.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::interleaved;
use crate::options::Options;
use crate::process::Peer;
use crate::report::{Bar, Samples, Table, progress};
use crate::roles::{Generation, Server, TOKEN, WORKER_ID};
use crate::statistics::Spread;

/// The directory of the programs in Python.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../python/bench");

/// The client with which the others are compared.
pub(super) const FAIR: &str = "fair bare client";

/// The share of a core from which the server, and not the client, may be what limits the rate.
const FULL: f64 = 0.9;

/// What the worker's log says when lines were dropped.
const MISSING: &str = "lines of the log are missing";

/// A client that does empty tasks.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) name: String,
    program: Program,
    /// It is slow: one of so many tasks is enough for it with one slot, and with several.
    one_of: (usize, usize),
}

#[derive(Debug, Clone)]
enum Program {
    /// This program, in a role with these options.
    Role { role: &'static str, options: Vec<&'static str>, has_outbox: bool },
    /// A worker in Python, with handlers of this kind.
    Python { interpreter: PathBuf, kind: &'static str },
}

/// A client's task in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) generation: Generation,
    pub(super) slots: usize,
}

/// The figures of one client in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Tasks per second.
    rate: f64,
    /// Microseconds of processor time per task.
    cpu: f64,
    /// The peak memory in MiB.
    memory: f64,
    /// The share of one core that the server used.
    server: f64,
    /// Lines per task that the log has about its start and its end.
    lines: f64,
}

impl Client {
    /// This program, in a role with these options.
    pub(super) fn role(name: &str, role: &'static str, options: &[&'static str]) -> Self {
        let program = Program::Role { role, options: options.to_vec(), has_outbox: false };
        Self { name: name.to_owned(), program, one_of: (1, 1) }
    }

    pub(super) fn plain() -> Self {
        Self::role("plain bare client", "bare", &[])
    }

    pub(super) fn fair() -> Self {
        Self::role(FAIR, "fair", &[])
    }

    /// The worker with the log at `warning`.
    pub(super) fn worker(name: &str, options: &[&'static str]) -> Self {
        Self::role(name, "worker", &[&["--log", "warning"], options].concat())
    }

    /// Gives the worker an outbox on disk. With one slot, each of its tasks waits for the disk.
    pub(super) fn with_outbox(mut self) -> Self {
        self.one_of = (10, 1);
        if let Program::Role { has_outbox, .. } = &mut self.program {
            *has_outbox = true;
        }
        self
    }

    /// A worker in Python.
    pub(super) fn python(
        name: String,
        interpreter: &Path,
        kind: &'static str,
        one_of: (usize, usize),
    ) -> Self {
        Self { name, program: Program::Python { interpreter: interpreter.to_owned(), kind }, one_of }
    }

    /// Lets it do its tasks with a new server.
    pub(super) fn measure(&self, options: &Options, setting: Setting) -> Result<Figures, String> {
        let Setting { generation, slots } = setting;
        let one_of = if slots == 1 { self.one_of.0 } else { self.one_of.1 };
        let tasks = (options.tasks(slots) / one_of).max(10);
        let mut server = Server::start(generation, tasks)?;
        let outbox = tempfile::tempdir_in(&options.scratch).map_err(|error| error.to_string())?;
        let before = server.peer.cpu_seconds();
        let mut client = Peer::start(self.command(&server.url, setting, tasks, outbox.path())?)?;
        if self.is_worker() {
            let done = server.all_results(&mut client).and_then(|()| client.send("end"));
            done.map_err(|problem| format!("{}: {problem}", self.name))?;
        }
        let [rate, cpu, memory] = client.numbers().map_err(|problem| format!("{}: {problem}", self.name))?;
        let server_cpu = server.peer.cpu_seconds() - before;
        let log = client.end()?;
        if log.lines_with(MISSING) > 0 {
            return Err(format!("{}: lines of its log are missing: it was read too slowly", self.name));
        }
        let lines = (log.lines_with("task started") + log.lines_with("task ended")) as f64 / tasks as f64;
        server.peer.end()?;
        Ok(Figures { rate, cpu, memory, server: server_cpu * rate / tasks as f64, lines })
    }

    /// Whether it must be told that the server has all results. A bare client waits for each one's answer.
    fn is_worker(&self) -> bool {
        match self.program {
            Program::Role { role, .. } => role == "worker",
            Program::Python { .. } => true,
        }
    }

    /// The command of a client, without an outbox, that is given fewer tasks than it would do.
    pub(super) fn endless(&self, url: &str, setting: Setting) -> Result<Command, String> {
        self.command(url, setting, usize::MAX / 2, Path::new(""))
    }

    fn command(&self, url: &str, setting: Setting, tasks: usize, outbox: &Path) -> Result<Command, String> {
        let (slots, tasks) = (setting.slots.to_string(), tasks.to_string());
        match &self.program {
            Program::Role { role, options, has_outbox } => {
                let program = std::env::current_exe().map_err(|error| error.to_string())?;
                let mut command = Command::new(program);
                command.args([role, url, &slots, &tasks]).args(options);
                if *role != "worker" {
                    command.args(["--generation", setting.generation.name()]);
                }
                if *has_outbox {
                    command.arg("--outbox").arg(outbox);
                }
                Ok(command)
            }
            Program::Python { interpreter, kind } => Ok(python(interpreter, url, &[&slots, &tasks, kind])),
        }
    }
}

/// The worker in Python.
pub(super) fn python(interpreter: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(Path::new(PYTHON).join("client.py")).args(arguments);
    command.env("ORCHESTRATOR_URL", url).env("WORKER_TOKEN", TOKEN).env("WORKER_ID", WORKER_ID);
    command.env("MAX_CONCURRENT_TASKS", arguments[0]).env("LOG_LEVEL", "error");
    command.env("WORKER_HOST", "127.0.0.1").env("WORKER_PORT", "0");
    command
}

/// The figures of all rounds of several clients in one setting.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) setting: Setting,
    pub(super) rows: Vec<(String, Vec<Figures>)>,
}

impl Comparison {
    pub(super) fn measure(options: &Options, clients: &[Client], setting: Setting) -> Result<Self, String> {
        Self::measure_rounds(options, options.rounds(), clients, setting)
    }

    pub(super) fn measure_rounds(
        options: &Options,
        rounds: usize,
        clients: &[Client],
        setting: Setting,
    ) -> Result<Self, String> {
        let Setting { generation, slots } = setting;
        progress(&format!("{} clients, {} generation, slots: {slots}", clients.len(), generation.name()));
        let figures = interleaved(rounds, clients, |client| client.measure(options, setting))?;
        let names = clients.iter().map(|client| client.name.clone());
        Ok(Self { setting, rows: names.zip(figures).collect() })
    }

    /// The table of all figures, with the ratios to the client `to`.
    pub(super) fn table(comparisons: &[Self], caption: &str, to: &str) -> Table {
        let mut table = Table::new(
            &format!("{caption}; ratios are to the {to}, * if the server of one of the two is the limit"),
            &[
                "generation",
                "slots",
                "client",
                "tasks/s",
                "CPU µs per task",
                "tasks per core-second",
                "peak MiB",
                "server, % of a core",
                "tasks/s, ratio",
                "CPU, ratio",
            ],
        );
        for comparison in comparisons {
            for (name, figures) in &comparison.rows {
                let cpu = comparison.spread(name, Figure::Cpu);
                let is_full = [name, to]
                    .into_iter()
                    .any(|client| comparison.spread(client, Figure::Server).median >= FULL);
                let ratio = |figure, is_full| match comparison.ratio(name, to, figure) {
                    Some(_) if name == to => "1".to_owned(),
                    Some(ratio) if is_full => ratio.shown(2) + "*",
                    Some(ratio) => ratio.shown(2),
                    None => "–".to_owned(),
                };
                table.row([
                    comparison.setting.generation.name().to_owned(),
                    crate::statistics::shown(comparison.setting.slots as f64, 0),
                    name.clone(),
                    comparison.spread(name, Figure::Rate).shown(0),
                    cpu.shown(1),
                    crate::statistics::shown(1e6 / cpu.median, 0),
                    crate::statistics::shown(figures.iter().map(|round| round.memory).fold(0.0, f64::max), 1),
                    crate::statistics::shown(comparison.spread(name, Figure::Server).median * 100.0, 0),
                    ratio(Figure::Rate, is_full),
                    ratio(Figure::Cpu, false),
                ]);
            }
        }
        table
    }

    /// Bars of a figure, grouped by what differs in the setting.
    pub(super) fn bars(comparisons: &[Self], figure: Figure) -> Vec<Bar> {
        let differs =
            comparisons.windows(2).any(|pair| pair[0].setting.generation != pair[1].setting.generation);
        let group = |Setting { generation, slots }: Setting| {
            if differs {
                format!("{} generation, slots: {slots}", generation.name())
            } else {
                format!("slots: {slots}")
            }
        };
        let bars = comparisons.iter().flat_map(|comparison| {
            comparison.rows.iter().map(|(client, _)| Bar {
                group: group(comparison.setting),
                label: client.clone(),
                spread: comparison.spread(client, figure),
            })
        });
        bars.collect()
    }

    pub(super) fn spread(&self, client: &str, figure: Figure) -> Spread {
        Spread::of(&self.figures(client, figure))
    }

    /// The ratio to another client, of each round. `None` if one of the two is not in this comparison.
    pub(super) fn ratio(&self, client: &str, to: &str, figure: Figure) -> Option<Spread> {
        let [ours, theirs] = [client, to].map(|name| self.figures(name, figure));
        (!ours.is_empty() && !theirs.is_empty()).then(|| Spread::of_ratios(&ours, &theirs))
    }

    fn figures(&self, client: &str, figure: Figure) -> Vec<f64> {
        let rows = self.rows.iter().filter(|(name, _)| name == client);
        rows.flat_map(|(_, rounds)| rounds.iter().map(|round| figure.of(round))).collect()
    }

    /// The figures of every round.
    pub(super) fn samples(comparisons: &[Self]) -> Vec<Samples> {
        let mut all = Vec::new();
        for comparison in comparisons {
            let Setting { generation, slots } = comparison.setting;
            for (name, figures) in &comparison.rows {
                for figure in [Figure::Rate, Figure::Cpu, Figure::Memory, Figure::Server] {
                    all.push(Samples {
                        what: format!("{} generation, slots: {slots}, {name}", generation.name()),
                        figure: figure.unit().to_owned(),
                        values: figures.iter().map(|round| figure.of(round)).collect(),
                    });
                }
            }
        }
        all
    }
}

/// One of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Rate,
    Cpu,
    Memory,
    Server,
    Lines,
}

impl Figure {
    fn of(self, figures: &Figures) -> f64 {
        match self {
            Self::Rate => figures.rate,
            Self::Cpu => figures.cpu,
            Self::Memory => figures.memory,
            Self::Server => figures.server,
            Self::Lines => figures.lines,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Rate => "tasks/s",
            Self::Cpu => "CPU µs per task",
            Self::Memory => "peak MiB",
            Self::Server => "server, cores",
            Self::Lines => "log lines per task",
        }
    }
}
