//! `cargo xtask counts`: counts the instructions of what every task costs, and compares them with the recorded ones.
//!
//! Other load of the machine changes times, but hardly the number of instructions. Each operation is done twice under
//! callgrind, few times and many times: the difference is its cost, without the start and the end of the program.

mod bounds;
mod operation;
mod programs;
mod toolchain;

use self::bounds::Bounds;
use self::operation::OPERATIONS;
use self::programs::Programs;
use crate::failure::{Failure, Result};
use crate::output::print_line;
use crate::python::Python;
use crate::steps::Steps;
use crate::valgrind;
use crate::workspace::Workspace;

const STEP: &str = "instruction counts";
const COMMAND: &str = "cargo xtask counts";
const BOUNDS: &str = "xtask/counts.json";

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
    count(steps, workspace, &Options::default())
}

fn count(steps: &mut Steps, workspace: &Workspace, options: &Options<'_>) -> Result {
    // Only its interpreter: the package needs no other packages.
    let python = Python::find()?.interpreter()?;
    let programs = Programs::build(steps, workspace, &python)?;
    steps.step(STEP, COMMAND, || {
        let file = workspace.root().join(BOUNDS);
        let recorded =
            if options.updates && !file.exists() { Bounds::default() } else { Bounds::read(&file)? };
        let toolchain = toolchain::installed(&python)?;
        let differences = toolchain::differences(&recorded.toolchain, &toolchain);
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
        for operation in OPERATIONS.iter().filter(|operation| options.selects(operation.name)) {
            let thousands = programs.count(operation)? / 1000.0;
            let comparison =
                recorded.compare(operation.name, operation.is_python(), &measured.toolchain, thousands);
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

#[derive(Debug, Default, PartialEq, Eq)]
struct Options<'a> {
    updates: bool,
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
        if !OPERATIONS.iter().any(|operation| options.selects(operation.name)) {
            let names: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
            return Err(Failure::usage(format!("no such operation; there are {}", names.join(", "))));
        }
        Ok(options)
    }

    fn is_partial(&self) -> bool {
        !self.words.is_empty()
    }

    fn selects(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Vec<&'static str>> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let options = Options::parse(&arguments)?;
        Ok(OPERATIONS.iter().map(|operation| operation.name).filter(|name| options.selects(name)).collect())
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
