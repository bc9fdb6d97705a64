//! Builds the programs of the operations, and runs them under callgrind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::operation::{Kind, Operation};
use crate::failure::{Failure, Result};
use crate::steps::Steps;
use crate::valgrind;
use crate::workspace::Workspace;

/// As long as real tokens are: log lines are searched for it.
const TOKEN: &str = "a3f1c5e79b2d48600f6e1a7c3d9b5284";

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

    /// Counts an operation, in instructions.
    pub(super) fn count(&self, operation: &Operation) -> Result<f64> {
        let (few, many) = (self.run(operation, operation.few)?, self.run(operation, operation.many)?);
        Ok((many as f64 - few as f64) / f64::from(operation.many - operation.few))
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
    let ran = command.stdin(Stdio::null()).stdout(Stdio::null()).output();
    let ran = ran.map_err(|error| Failure::new(format!("cannot run {command:?}: {error}")))?;
    if !ran.status.success() {
        let errors = String::from_utf8_lossy(&ran.stderr);
        return Err(Failure::of_program(format!("{command:?} failed: {}", errors.trim()), ran.status));
    }
    let text = fs::read_to_string(profile)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", profile.display())))?;
    total_of(&text).ok_or_else(|| Failure::new(format!("`{}` has no total", profile.display())))
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
}
