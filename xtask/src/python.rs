//! A Python that can make virtual environments.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::apt;
use crate::failure::{Failure, Result};
use crate::output::print_line;

/// The names to try, in order of preference: 1.0b12 and 1.0b30 were published for Python 3.11.
const NAMES: [&str; 5] = ["python3.11", "python3.12", "python3.13", "python3.14", "python3"];

/// The oldest version that can be used.
const MIN_VERSION: (u32, u32) = (3, 11);

/// A Python of the system.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    /// Its name, or its path.
    name: String,
    version: (u32, u32),
    makes_environments: bool,
}

impl Python {
    /// Finds a Python. On Debian as root, installs the packages that it lacks.
    pub(crate) fn find() -> Result<Self> {
        let before = Self::best();
        if let Some(python) = before.as_ref().filter(|python| python.makes_environments) {
            return Ok(python.clone());
        }
        if !apt::is_usable() {
            return Err(Failure::new(advice(before.as_ref())));
        }
        install_with_apt(before.as_ref())?;
        let after = Self::best().filter(|python| python.makes_environments);
        after.ok_or_else(|| Failure::new(advice(before.as_ref())))
    }

    /// Returns the command that makes an environment in `folder`.
    pub(crate) fn make_environment(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.name);
        command.args(["-m", "venv"]).arg(folder);
        command
    }

    /// Returns the path of the interpreter itself: the command may be a script that looks for it.
    pub(crate) fn interpreter(&self) -> Result<PathBuf> {
        let asked = ask(&self.name, "import sys; print(sys.executable)");
        let path = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let path = path.filter(|path| !path.is_empty());
        path.map(PathBuf::from)
            .ok_or_else(|| Failure::new(format!("`{}` does not say where it is", self.name)))
    }

    /// The version, as it is written in a stamp: an environment works only with the version that made it.
    pub(crate) fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// Returns the first Python that can make environments, else the first that is new enough.
    fn best() -> Option<Self> {
        let mut found = NAMES.iter().filter_map(|name| Self::look_at(name)).collect::<Vec<_>>();
        let complete = found.iter().position(|python| python.makes_environments);
        (!found.is_empty()).then(|| found.swap_remove(complete.unwrap_or(0)))
    }

    /// Returns a Python of each version that can make environments, oldest first: those in `PATH`, and those of pyenv,
    /// of which only some are in `PATH`.
    pub(crate) fn find_all() -> Vec<Self> {
        const NEWEST: u32 = 30;
        let names = (MIN_VERSION.1..NEWEST).map(|minor| format!("python{}.{minor}", MIN_VERSION.0));
        let mut found: Vec<Self> = Vec::new();
        for python in names.chain(of_pyenv()).filter_map(|name| Self::look_at(&name)) {
            if python.makes_environments && found.iter().all(|other| other.version != python.version) {
                found.push(python);
            }
        }
        found.sort_by_key(|python| python.version);
        found
    }

    pub(crate) fn is_version(&self, version: (u32, u32)) -> bool {
        self.version == version
    }

    fn look_at(name: &str) -> Option<Self> {
        let version = ask(name, "import sys; print(*sys.version_info[:2])")?;
        let version = parse(&String::from_utf8_lossy(&version.stdout))?;
        // Debian installs `venv` without `ensurepip`, so that making an environment fails half-way.
        let makes_environments = ask(name, "import venv, ensurepip").is_some();
        (version >= MIN_VERSION).then_some(Self { name: name.to_owned(), version, makes_environments })
    }
}

/// The programs of pyenv, one for each version.
fn of_pyenv() -> Vec<String> {
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let programs =
        versions.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path().join("bin/python3")));
    programs.map(|program| program.to_string_lossy().into_owned()).collect()
}

fn ask(name: &str, program: &str) -> Option<Output> {
    let output = Command::new(name).args(["-c", program]).stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output)
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn advice(found: Option<&Python>) -> String {
    match found {
        Some(python) => format!(
            "`{}` cannot make virtual environments (no `ensurepip`)\nhint: apt-get install python{}-venv",
            python.name,
            python.version()
        ),
        None => format!(
            "no Python {}.{} or newer: the real orchestrators and a part of this project are Python\n\
             hint: install one, or leave these out with `cargo xtask test --no-e2e`",
            MIN_VERSION.0, MIN_VERSION.1
        ),
    }
}

fn install_with_apt(found: Option<&Python>) -> Result {
    // The package for this version if it exists, else the one for the system's Python.
    let exact = found.map(|python| format!("python{}-venv", python.version()));
    let packages = exact.iter().map(String::as_str).chain(["python3-venv"]);
    let mut last = apt::update();
    for package in packages {
        print_line(&format!("Python: installing {package} with apt-get"));
        last = apt::install(package);
        if last.is_ok() {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(parse("3 11\n"), Some((3, 11)));
        assert!(parse("3 9\n").unwrap() < MIN_VERSION);
        assert_eq!(parse("nonsense"), None);
    }
}
