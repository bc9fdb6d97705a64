//! `cargo xtask counts`: counts the instructions of what every task costs, and compares them with the recorded ones.
//!
//! Other load of the machine changes times, but hardly the number of instructions. Each operation is done twice under
//! callgrind, few times and many times: the difference is its cost, without the start and the end of the program.

mod bounds;
mod operation;
mod programs;
mod toolchain;

use self::bounds::{Bounds, Comparison};
use self::operation::{OPERATIONS, Operation};
use self::programs::Programs;
use self::toolchain::Toolchain;
use crate::failure::{Failure, Result};
use crate::output::print_line;
use crate::python::Python;
use crate::steps::Steps;
use crate::valgrind;
use crate::workspace::Workspace;

const STEP: &str = "instruction counts";
const COMMAND: &str = "cargo xtask counts";
const BOUNDS: &str = "xtask/counts.json";

/// How often an operation that is above its bound is counted.
const TRIES: usize = 3;

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let options = Options::parse(arguments)?;
    let mut steps = Steps::begin();
    steps.step("Valgrind", COMMAND, valgrind::install)?;
    count(&mut steps, workspace, &options)?;
    steps.end();
    Ok(())
}

/// Checks all operations, as a part of `cargo xtask test`. Valgrind must be installed.
pub(crate) fn check(steps: &mut Steps, workspace: &Workspace) -> Result {
    count(steps, workspace, &Options { checks: true, ..Options::default() })
}

fn count(steps: &mut Steps, workspace: &Workspace, options: &Options<'_>) -> Result {
    let file = workspace.root().join(BOUNDS);
    let recorded = if options.updates && !file.exists() { Bounds::default() } else { Bounds::read(&file)? };
    // Only its interpreter: the package needs no other packages.
    let python = Python::find()?.interpreter()?;
    let toolchain = toolchain::installed(&python)?;
    let differences = toolchain::differences(&recorded.toolchain, &toolchain);
    let operations = options.operations(&recorded, &toolchain);
    if operations.len() < options.selected().count() && !differences.is_empty() {
        let step = if operations.is_empty() { STEP } else { "instruction counts of Python" };
        steps.skip(step, &differences.join("; "));
    }
    if operations.is_empty() {
        return Ok(());
    }
    let programs = Programs::build(steps, workspace, &python)?;
    steps.step(STEP, COMMAND, || {
        if options.updates && options.is_partial() && !differences.is_empty() {
            return Err(Failure::new(format!(
                "{}\nhint: record all: {COMMAND} --update",
                differences.join("\n")
            )));
        }
        for difference in &differences {
            print_line(difference);
        }
        let (mut measured, mut failed) = (Bounds { toolchain, ..Bounds::default() }, Vec::new());
        if options.is_partial() {
            measured.thousands.clone_from(&recorded.thousands);
        }
        for operation in operations {
            let (thousands, comparison) = compare(&programs, operation, &recorded, &measured.toolchain)?;
            print_line(&comparison.line(operation.name, thousands));
            if comparison.is_failure() {
                failed.push(operation.name);
            }
            measured.thousands.insert(operation.name.to_owned(), thousands);
        }
        match failed.as_slice() {
            _ if options.updates => measured.write(&file),
            [] => Ok(()),
            [first, ..] => Err(Failure::new(format!(
                "{} above the bound of 5 % over `{BOUNDS}`, or not in it\n\
                 hint: to see where the instructions go: callgrind_annotate {}\n\
                 hint: if what they do is worth it: {COMMAND} --update {}",
                failed.join(", "),
                programs.profile(first).display(),
                failed.join(" "),
            ))),
        }
    })
}

/// Counts an operation, and again if it seems to have become more expensive: that may be noise. Returns the thousands of
/// instructions.
fn compare(
    programs: &Programs,
    operation: &Operation,
    recorded: &Bounds,
    used: &Toolchain,
) -> Result<(f64, Comparison)> {
    let mut runs = programs.count(operation)?;
    for tried in 1.. {
        let thousands = runs.thousands(operation);
        let comparison = recorded.compare(operation.name, operation.is_python(), used, thousands);
        if tried == TRIES || !matches!(comparison, Comparison::Above { .. }) {
            return Ok((thousands, comparison));
        }
        runs = runs.least(programs.count(operation)?);
    }
    unreachable!("the last try returns")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options<'a> {
    updates: bool,
    /// Whether only operations that can be compared are counted.
    checks: bool,
    /// Parts of the names of operations; none for all of them.
    words: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(arguments: &'a [String]) -> Result<Self> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--update" => options.updates = true,
                unknown if unknown.starts_with('-') => {
                    return Err(Failure::usage(format!("`counts` has no option `{unknown}`")));
                }
                word => options.words.push(word),
            }
        }
        if options.selected().next().is_none() {
            let names: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
            return Err(Failure::usage(format!("no such operation; there are {}", names.join(", "))));
        }
        Ok(options)
    }

    fn is_partial(&self) -> bool {
        !self.words.is_empty()
    }

    /// The operations with these words in their names.
    fn selected(&self) -> impl Iterator<Item = &'static Operation> {
        let selects = |name: &str| self.words.is_empty() || self.words.iter().any(|word| name.contains(word));
        OPERATIONS.iter().filter(move |operation| selects(operation.name))
    }

    /// The operations to count with these programs.
    fn operations(&self, recorded: &Bounds, used: &Toolchain) -> Vec<&'static Operation> {
        let is_comparable = |operation: &Operation| {
            toolchain::is_comparable(&recorded.toolchain, used, operation.is_python())
        };
        self.selected().filter(|operation| !self.checks || is_comparable(operation)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Vec<&'static str>> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(Options::parse(&arguments)?.selected().map(|operation| operation.name).collect())
    }

    #[test]
    fn operations_are_selected_by_parts_of_their_names() {
        assert_eq!(parse(&["seal", "--update"]).unwrap(), ["seal"]);
        assert_eq!(parse(&["kwargs", "parse"]).unwrap(), ["parse", "python-kwargs-1", "python-kwargs-100"]);
        assert_eq!(parse(&[]).unwrap().len(), OPERATIONS.len());
        assert_eq!(parse(&["nothing"]).unwrap_err().code(), 2);
        assert_eq!(parse(&["--fast"]).unwrap_err().code(), 2);
    }

    #[test]
    fn a_check_counts_only_what_can_be_compared() {
        let toolchain = |rustc: &str, python: &str| -> Toolchain {
            let versions =
                [(toolchain::RUSTC, rustc), (toolchain::PYTHON, python), (toolchain::VALGRIND, "3")];
            versions.map(|(program, version)| (program.to_owned(), version.to_owned())).into()
        };
        let recorded = Bounds { toolchain: toolchain("1.95", "3.11"), ..Bounds::default() };
        let check = Options { checks: true, ..Options::default() };
        assert!(check.operations(&recorded, &toolchain("1.96", "3.11")).is_empty());
        let without_python = check.operations(&recorded, &toolchain("1.95", "3.12"));
        assert!(!without_python.is_empty() && without_python.iter().all(|operation| !operation.is_python()));
        let all = Options::default().operations(&recorded, &toolchain("1.96", "3.12"));
        assert_eq!(all.len(), OPERATIONS.len());
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_more_repetitions_in_the_longer_run() {
        let mut names: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPERATIONS.len());
        assert!(OPERATIONS.iter().all(|operation| operation.few * 2 < operation.many));
    }

    #[test]
    fn the_repository_has_a_bound_for_every_operation() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(BOUNDS);
        let recorded = Bounds::read(&file).unwrap();
        let names: std::collections::BTreeSet<_> =
            OPERATIONS.iter().map(|operation| operation.name.to_owned()).collect();
        assert_eq!(recorded.thousands.into_keys().collect::<std::collections::BTreeSet<_>>(), names);
    }
}
