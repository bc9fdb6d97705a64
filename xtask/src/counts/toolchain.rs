//! The programs that instructions depend on beside our own code.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};
use crate::valgrind;

pub(super) const RUSTC: &str = "rustc";
pub(super) const VALGRIND: &str = "valgrind";
pub(super) const PYTHON: &str = "python";

/// Prints the version and the compiler, but not the date of the build: another build of the same is the same.
const PYTHON_VERSION: &str = "import platform as p; print(p.python_version(), 'with', p.python_compiler())";

/// The versions, by program.
pub(super) type Toolchain = BTreeMap<String, String>;

/// Returns the versions in use.
pub(super) fn installed(python: &Path) -> Result<Toolchain> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| RUSTC.into()));
    let rustc = first_line(rustc.arg("--version"))?;
    // With its compiler: the same version compiled in another way has other instructions.
    let python = first_line(Command::new(python).args(["-c", PYTHON_VERSION]))?;
    let valgrind = valgrind::version().ok_or_else(|| Failure::new("no `valgrind`"))?;
    let host = format!("{rustc} on {}", std::env::consts::ARCH);
    let versions = [(RUSTC, host), (PYTHON, python), (VALGRIND, valgrind)];
    Ok(versions.map(|(program, version)| (program.to_owned(), version)).into())
}

/// Returns a line for each program whose version is another one.
pub(super) fn differences(recorded: &Toolchain, used: &Toolchain) -> Vec<String> {
    let differing = used.iter().filter(|(program, version)| recorded.get(*program) != Some(version));
    let line = |(program, version): (&String, &String)| {
        let before = recorded.get(program).map_or("nothing", String::as_str);
        format!(
            "{program} is `{version}`, the counts are recorded with `{before}`: what depends on it is not compared"
        )
    };
    differing.map(line).collect()
}

/// Returns whether the instructions of an operation may be compared.
pub(super) fn is_comparable(recorded: &Toolchain, used: &Toolchain, is_python: bool) -> bool {
    let programs: &[&str] = if is_python { &[RUSTC, VALGRIND, PYTHON] } else { &[RUSTC, VALGRIND] };
    programs.iter().all(|program| recorded.get(*program) == used.get(*program))
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::new(format!("cannot run {command:?}: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().filter(|_| output.status.success());
    line.map(str::to_owned).ok_or_else(|| Failure::new(format!("{command:?} says no version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(rustc: &str, python: &str) -> Toolchain {
        [(RUSTC, rustc), (PYTHON, python), (VALGRIND, "3")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    }

    #[test]
    fn another_python_leaves_the_rust_operations_comparable() {
        let (recorded, used) = (toolchain("1.95", "3.11"), toolchain("1.95", "3.12"));
        assert!(is_comparable(&recorded, &used, false));
        assert!(!is_comparable(&recorded, &used, true));
        let differences = differences(&recorded, &used);
        assert_eq!(differences.len(), 1);
        assert!(differences[0].starts_with("python is `3.12`") && differences[0].contains("`3.11`"));
    }

    #[test]
    fn with_another_rustc_nothing_is_comparable() {
        let (recorded, used) = (toolchain("1.95", "3.11"), toolchain("1.96", "3.11"));
        assert!(!is_comparable(&recorded, &used, false) && !is_comparable(&recorded, &used, true));
        assert_eq!(differences(&recorded, &recorded), Vec::<String>::new());
    }
}
