//! What the worker is tested against and cargo does not bring: the real orchestrators, and an S3 that is not ours. Each is
//! in a virtual environment of its own, because their pins exclude each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::output::say;
use crate::python::Python;
use crate::workspace::Workspace;

/// The environment's name, as the fixtures of `e2e` look for it, and what is in it.
const PEERS: [(&str, &str); 3] = [
    ("avtomatika-1.0b12", "avtomatika[telemetry,s3]==1.0b12"),
    ("avtomatika-1.0b30", "avtomatika[s3]==1.0b30"),
    ("moto", "moto[server]==5.2.5"),
];

/// Written last: an environment without it was interrupted, and is made anew.
const STAMP: &str = "installed";

/// Installs what is missing; when nothing is, that costs a few milliseconds.
pub(crate) fn install(workspace: &Workspace) -> Result {
    let all = workspace.target().join("venvs");
    let told = |error: std::io::Error| Failure::new(format!("cannot use `{}`: {error}", all.display()));
    fs::create_dir_all(&all).map_err(told)?;
    // Somebody else may be at it: then theirs is waited for.
    let lock = File::create(all.join("lock")).map_err(told)?;
    lock.lock().map_err(told)?;

    let environments = PEERS.map(|(name, package)| Environment { folder: all.join(name), name, package });
    let missing = environments.iter().filter(|environment| !environment.is_complete()).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    let python = Python::find()?;
    thread::scope(|scope| {
        let installations = missing.iter().map(|environment| scope.spawn(|| environment.make(&python)));
        // All are started before the first is waited for.
        let installations = installations.collect::<Vec<_>>();
        installations.into_iter().try_for_each(|installation| {
            installation.join().unwrap_or_else(|_| Err(Failure::new("the installation panicked")))
        })
    })
}

#[derive(Debug)]
struct Environment {
    folder: PathBuf,
    name: &'static str,
    package: &'static str,
}

impl Environment {
    fn is_complete(&self) -> bool {
        let stamp = fs::read_to_string(self.folder.join(STAMP)).unwrap_or_default();
        // The Python it was made from may have been removed meanwhile.
        let mut python = self.python();
        python.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        stamp.lines().next() == Some(self.package) && python.status().is_ok_and(|status| status.success())
    }

    fn make(&self, python: &Python) -> Result {
        say(&format!("peers: installing {} for Python {}", self.package, python.version()));
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|error| {
                Failure::new(format!("cannot remove `{}`: {error}", self.folder.display()))
            })?;
        }
        self.run(&mut python.make_environment(&self.folder))?;
        self.install_package()?;
        let stamp = format!("{}\nPython {}\n", self.package, python.version());
        fs::write(self.folder.join(STAMP), stamp).map_err(|error| {
            Failure::new(format!("cannot write `{}/{STAMP}`: {error}", self.folder.display()))
        })
    }

    /// pip repeats single requests itself; what it gives up on is mostly a network that was away for longer.
    fn install_package(&self) -> Result {
        const TRIES: u32 = 3;
        let mut tries = 1;
        loop {
            let mut pip = self.python();
            pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
            pip.args(["--retries", "5", "--timeout", "60", self.package]);
            match self.run(&mut pip) {
                Err(failure) if tries < TRIES => {
                    say(&format!("peers: try {tries} of {TRIES}: {failure}"));
                    thread::sleep(Duration::from_secs(5 * u64::from(tries)));
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    fn python(&self) -> Command {
        Command::new(self.folder.join("bin/python"))
    }

    /// Runs a program with its output in a file beside the environment.
    fn run(&self, command: &mut Command) -> Result {
        let file = self.folder.with_file_name(format!("{}.log", self.name));
        let told =
            |error: std::io::Error| Failure::new(format!("cannot write `{}`: {error}", file.display()));
        let log = File::create(&file).map_err(told)?;
        let errors = log.try_clone().map_err(told)?;
        let ran = command.stdin(Stdio::null()).stdout(log).stderr(errors).status();
        let status = ran.map_err(|error| Failure::new(format!("cannot run {command:?}: {error}")))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{} was not installed; `{}` ends:\n{}",
            self.package,
            file.display(),
            end_of(&file)
        )))
    }
}

fn end_of(file: &Path) -> String {
    const SHOWN: usize = 6;
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
