//! Builds the programs of the operations, and runs them under callgrind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::operation::{Kind, Operation};
use crate::failure::{Failure, Result};
use crate::steps::Steps;
use crate::valgrind;
use crate::workspace::Workspace;

/// As long as real tokens are: log lines are searched for it.
const TOKEN: &str = "a3f1c5e79b2d48600f6e1a7c3d9b5284";

/// The time limit of one run under callgrind: each takes seconds, so what takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// The instructions of the shorter and of the longer run of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    few: u64,
    many: u64,
}

impl Runs {
    /// The lower number of each run: what else the machine does can only add instructions, such as those of further
    /// turns of a loop.
    pub(super) fn least(self, other: Self) -> Self {
        Self { few: self.few.min(other.few), many: self.many.min(other.many) }
    }

    /// The thousands of instructions of the operation done once.
    pub(super) fn thousands(self, operation: &Operation) -> f64 {
        (self.many as f64 - self.few as f64) / f64::from(operation.many - operation.few) / 1000.0
    }
}

/// The programs of the operations.
#[derive(Debug)]
pub(super) struct Programs {
    /// The example `counts`.
    counts: PathBuf,
    /// The interpreter.
    python: PathBuf,
    /// The worker in Python.
    counted: PathBuf,
    /// The directory of the Python package, and of the profiles.
    folder: PathBuf,
}

impl Programs {
    /// Compiles everything in the profile `release`: the example, and the native module with the same features, so that
    /// they share their dependencies.
    pub(super) fn build(steps: &mut Steps, workspace: &Workspace, python: &Path) -> Result<Self> {
        let packages = ["build", "--release", "--package", "e2e", "--package", "avtomatika-python"];
        let mut build = workspace.cargo(packages.into_iter().chain(["--example", "counts", "--lib"]));
        steps.program("programs to be counted", build.env("PYO3_PYTHON", python))?;
        let release = workspace.target().join("release");
        let folder = workspace.target().join("counts");
        let programs = Self {
            counts: release.join("examples/counts"),
            python: python.to_owned(),
            counted: workspace.root().join("crates/python/bench/counted.py"),
            folder,
        };
        let sources = workspace.root().join("crates/python/python/avtomatika_worker");
        programs
            .lay_out_package(&sources, &release.join("lib_native.so"))
            .map_err(|error| Failure::new(format!("cannot lay out the Python package: {error}")))?;
        Ok(programs)
    }

    /// Puts the sources and the native module together, as they are in the wheel.
    fn lay_out_package(&self, sources: &Path, native: &Path) -> std::io::Result<()> {
        let package = self.folder.join("python/avtomatika_worker");
        if package.exists() {
            fs::remove_dir_all(&package)?;
        }
        fs::create_dir_all(&package)?;
        for source in fs::read_dir(sources)? {
            let source = source?.path();
            if let Some(name) = source.file_name().filter(|_| source.is_file()) {
                fs::copy(&source, package.join(name))?;
            }
        }
        fs::copy(native, package.join("_native.abi3.so"))?;
        // Else the first run would compile them, and the second would not.
        let compiled = Command::new(&self.python).args(["-m", "compileall", "-q"]).arg(&package).status()?;
        if compiled.success() { Ok(()) } else { Err(std::io::Error::other("its sources do not compile")) }
    }

    /// Counts the instructions of an operation.
    pub(super) fn count(&self, operation: &Operation) -> Result<Runs> {
        Ok(Runs { few: self.run(operation, operation.few)?, many: self.run(operation, operation.many)? })
    }

    /// The profile of the last run of an operation, for `callgrind_annotate`.
    pub(super) fn profile(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.callgrind"))
    }

    /// Does an operation this often, and returns the instructions of the whole program, or of the loop's thread.
    fn run(&self, operation: &Operation, times: u32) -> Result<u64> {
        let profile = self.profile(operation.name);
        let mut callgrind = valgrind::callgrind();
        // Variables of the caller, such as `RUST_LOG`, change what is done.
        callgrind.env_clear().envs(
            ["PATH", "LD_LIBRARY_PATH"].iter().filter_map(|name| Some((*name, std::env::var_os(name)?))),
        );
        callgrind.arg(format!("--callgrind-out-file={}", profile.display()));
        let times = times.to_string();
        match operation.kind {
            Kind::Alone(arguments) => {
                callgrind.arg(&self.counts).args(arguments).arg(times);
                total(&mut callgrind, &profile)
            }
            Kind::Task { generation, slots, log } => {
                let server = Server::start(&self.counts, generation, &times)?;
                callgrind.arg(&self.counts).args(["path", &server.url, slots, log, &times]);
                total(&mut callgrind, &profile)
            }
            Kind::PythonLoop { handler, slots } => {
                let server = Server::start(&self.counts, "newer", &times)?;
                callgrind
                    .arg("--separate-threads=yes")
                    // Else one thread may keep the other waiting for long, while it looks for work again and again.
                    .arg("--fair-sched=yes")
                    .arg(&self.python)
                    .arg(&self.counted)
                    .args([handler, &times]);
                let day = "86400";
                callgrind.envs([
                    ("ORCHESTRATOR_URL", server.url.as_str()),
                    ("WORKER_ID", "counted"),
                    ("WORKER_TOKEN", TOKEN),
                    ("MAX_CONCURRENT_TASKS", slots),
                    ("HEARTBEAT_INTERVAL", day),
                    ("WORKER_HEARTBEAT_DEBOUNCE_DELAY", day),
                    ("LOG_LEVEL", "ERROR"),
                    ("PYTHONHASHSEED", "0"),
                ]);
                callgrind.env("PYTHONPATH", self.folder.join("python"));
                // The first thread is the main thread, which runs the loop.
                let thread = profile.with_extension("callgrind-01");
                total(&mut callgrind, &thread)
            }
        }
    }
}

/// The scripted server, in a process that is not counted.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(program: &Path, generation: &str, tasks: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["server", generation, tasks]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.spawn();
        let process = process.map_err(|error| Failure::new(format!("cannot run {command:?}: {error}")))?;
        let mut server = Self { process, url: String::new() };
        if let Some(output) = server.process.stdout.take() {
            // Without an address, the worker says what is wrong.
            let _ = BufReader::new(output).read_line(&mut server.url);
        }
        server.url.truncate(server.url.trim_end().len());
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its standard input is closed.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Runs a program under callgrind, and returns the total of the profile.
fn total(command: &mut Command, profile: &Path) -> Result<u64> {
    let (status, errors) = run_limited(command, TIME_LIMIT)
        .map_err(|error| Failure::new(format!("cannot run {command:?}: {error}")))?;
    let Some(status) = status else {
        let limit = TIME_LIMIT.as_secs();
        return Err(Failure::new(format!("{command:?} had not ended after {limit} s: {}", errors.trim())));
    };
    if !status.success() {
        return Err(Failure::of_program(format!("{command:?} failed: {}", errors.trim()), status));
    }
    let text = fs::read_to_string(profile)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", profile.display())))?;
    total_of(&text).ok_or_else(|| Failure::new(format!("`{}` has no total", profile.display())))
}

/// Runs a program, but kills it at the limit. Returns how it ended, `None` if it was killed, and its standard error.
fn run_limited(command: &mut Command, limit: Duration) -> std::io::Result<(Option<ExitStatus>, String)> {
    const PAUSE: Duration = Duration::from_millis(20);
    let given_up = Instant::now() + limit;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let errors = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut errors) = errors {
            let _ = errors.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= given_up {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(PAUSE);
    };
    Ok((status, reader.join().unwrap_or_default()))
}

/// Returns the total of a profile.
fn total_of(profile: &str) -> Option<u64> {
    let mut lines =
        profile.lines().filter_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    lines.next_back()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(
            total_of("events: Ir\nsummary: 0\nfn=a\n1 5\ntotals: 1234567890123\n"),
            Some(1_234_567_890_123)
        );
        assert_eq!(total_of("events: Ir\n"), None);
    }

    #[test]
    fn a_program_is_killed_at_the_limit() {
        let (status, _) = run_limited(Command::new("sleep").arg("1000"), Duration::ZERO).unwrap();
        assert_eq!(status, None);
        let mut fails = Command::new("sh");
        fails.args(["-c", "echo wrong >&2; exit 3"]);
        let (status, errors) = run_limited(&mut fails, TIME_LIMIT).unwrap();
        assert_eq!((status.unwrap().code(), errors.as_str()), (Some(3), "wrong\n"));
    }

    #[test]
    fn the_lower_number_of_each_run_counts() {
        let operation = Operation { name: "any", kind: Kind::Alone(&[]), few: 1, many: 3 };
        let runs = Runs { few: 10_000, many: 50_000 }.least(Runs { few: 12_000, many: 40_000 });
        assert_eq!((runs.few, runs.many), (10_000, 40_000));
        assert!((runs.thousands(&operation) - 15.0).abs() < 1e-9);
    }
}
