//! A Python that can make virtual environments.

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
#[derive(Debug)]
pub(crate) struct Python {
    name: &'static str,
    version: (u32, u32),
    makes_environments: bool,
}

impl Python {
    /// Finds a Python. On Debian as root, installs the packages that it lacks.
    pub(crate) fn find() -> Result<Self> {
        let before = Self::best();
        if let Some(python) = before.as_ref().filter(|python| python.makes_environments) {
            return Ok(Self { ..*python });
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
        let mut command = Command::new(self.name);
        command.args(["-m", "venv"]).arg(folder);
        command
    }

    /// Returns the path of the interpreter itself: the command may be a script that looks for it.
    pub(crate) fn interpreter(&self) -> Result<PathBuf> {
        let asked = ask(self.name, "import sys; print(sys.executable)");
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

    fn look_at(name: &'static str) -> Option<Self> {
        let version = ask(name, "import sys; print(*sys.version_info[:2])")?;
        let version = parse(&String::from_utf8_lossy(&version.stdout))?;
        // Debian installs `venv` without `ensurepip`, so that making an environment fails half-way.
        let makes_environments = ask(name, "import venv, ensurepip").is_some();
        (version >= MIN_VERSION).then_some(Self { name, version, makes_environments })
    }
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
