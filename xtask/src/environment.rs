//! Virtual environments under `target/venvs`. The stamp of each lists its packages.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::output::print_line;
use crate::python::Python;
use crate::workspace::Workspace;

/// The file that is written last. If it is missing, the installation was interrupted, and is done again.
const STAMP: &str = "installed";

/// A virtual environment.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
    name: String,
    /// The Python that makes it; `None` for the usual one.
    python: Option<Python>,
    /// The packages to install, as arguments of pip.
    packages: Vec<String>,
    /// The packages in one line, which is the first line of the stamp.
    contents: String,
}

impl Environment {
    /// An environment with one package, given as an argument of pip.
    pub(crate) fn of_package(workspace: &Workspace, name: &str, package: &str) -> Self {
        Self::new(workspace, name, vec![package.to_owned()], package.to_owned())
    }

    /// An environment without packages.
    pub(crate) fn empty(workspace: &Workspace, name: &str) -> Self {
        Self::new(workspace, name, Vec::new(), "nothing".to_owned())
    }

    /// An environment with the packages that a file of requirements lists.
    pub(crate) fn of_requirements(workspace: &Workspace, name: &str, file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", file.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let packages: Vec<String> = lines.map(str::to_owned).collect();
        let contents = packages.join(" ");
        Ok(Self::new(workspace, name, packages, contents))
    }

    fn new(workspace: &Workspace, name: &str, packages: Vec<String>, contents: String) -> Self {
        let folder = folder(workspace).join(name);
        Self { folder, name: name.to_owned(), python: None, packages, contents }
    }

    /// Makes it with this Python.
    pub(crate) fn with_python(self, python: Python) -> Self {
        Self { python: Some(python), ..self }
    }

    /// A command for a program of the environment.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.folder.join("bin").join(name))
    }

    fn is_complete(&self) -> bool {
        let stamp = fs::read_to_string(self.folder.join(STAMP)).unwrap_or_default();
        // The Python that made the environment may have been removed meanwhile.
        let mut python = self.program("python");
        python.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        stamp.lines().next() == Some(&self.contents) && python.status().is_ok_and(|status| status.success())
    }

    fn make(&self, python: &Python) -> Result {
        print_line(&format!("{}: installing for Python {}: {}", self.name, python.version(), self.contents));
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|error| {
                Failure::new(format!("cannot remove `{}`: {error}", self.folder.display()))
            })?;
        }
        self.run(&mut python.make_environment(&self.folder))?;
        if !self.packages.is_empty() {
            self.install_packages()?;
        }
        let stamp = format!("{}\nPython {}\n", self.contents, python.version());
        fs::write(self.folder.join(STAMP), stamp).map_err(|error| {
            Failure::new(format!("cannot write `{}/{STAMP}`: {error}", self.folder.display()))
        })
    }

    /// Installs the packages in up to 3 tries: pip retries single requests, but not for as long as a network may be
    /// down.
    fn install_packages(&self) -> Result {
        const TRIES: u32 = 3;
        let mut tries = 1;
        loop {
            let mut pip = self.program("python");
            pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
            pip.args(["--retries", "5", "--timeout", "60"]).args(&self.packages);
            match self.run(&mut pip) {
                Err(failure) if tries < TRIES => {
                    print_line(&format!("{}: try {tries} of {TRIES}: {failure}", self.name));
                    thread::sleep(Duration::from_secs(5 * u64::from(tries)));
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    /// Runs a program with its output in a file beside the environment.
    fn run(&self, command: &mut Command) -> Result {
        let file = self.folder.with_file_name(format!("{}.log", self.name));
        let failure =
            |error: std::io::Error| Failure::new(format!("cannot write `{}`: {error}", file.display()));
        let log = File::create(&file).map_err(failure)?;
        let errors = log.try_clone().map_err(failure)?;
        let ran = command.stdin(Stdio::null()).stdout(log).stderr(errors).status();
        let status = ran.map_err(|error| Failure::new(format!("cannot run {command:?}: {error}")))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{} was not installed; `{}` ends:\n{}",
            self.contents,
            file.display(),
            end_of(&file)
        )))
    }
}

/// Makes the environments that are missing, all at once. Takes a few milliseconds if none is missing.
pub(crate) fn install(workspace: &Workspace, environments: &[Environment]) -> Result {
    let all = folder(workspace);
    let failure = |error: std::io::Error| Failure::new(format!("cannot use `{}`: {error}", all.display()));
    fs::create_dir_all(&all).map_err(failure)?;
    // Another process may be installing the same environments: the lock waits for it.
    let lock = File::create(all.join("lock")).map_err(failure)?;
    lock.lock().map_err(failure)?;

    let missing = environments.iter().filter(|environment| !environment.is_complete()).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    let usual = Python::find()?;
    thread::scope(|scope| {
        let installations = missing.iter().map(|environment| {
            scope.spawn(|| environment.make(environment.python.as_ref().unwrap_or(&usual)))
        });
        // Starts all installations before waiting for the first.
        let installations = installations.collect::<Vec<_>>();
        installations.into_iter().try_for_each(|installation| {
            installation.join().unwrap_or_else(|_| Err(Failure::new("the installation panicked")))
        })
    })
}

/// The folder of all environments.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target().join("venvs")
}

fn end_of(file: &Path) -> String {
    const SHOWN: usize = 6;
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
