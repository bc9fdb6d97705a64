//! The steps of a command, run one after another. Each is announced and timed; the first that fails ends the command.
//! Further steps may run on another thread meanwhile.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::output::{print_line, print_output, readable};

#[derive(Debug)]
pub(crate) struct Steps {
    all: Arc<All>,
    /// Whether these steps run beside others. The output of each program is then printed in one piece, at its end.
    are_aside: bool,
}

/// All steps of a command, including those on another thread.
#[derive(Debug)]
struct All {
    start: Instant,
    /// The number of steps begun.
    count: AtomicUsize,
    /// The names of skipped steps, which are listed at the end.
    skipped: Mutex<Vec<String>>,
}

impl Steps {
    pub(crate) fn begin() -> Self {
        let all = All { start: Instant::now(), count: AtomicUsize::new(0), skipped: Mutex::default() };
        Self { all: Arc::new(all), are_aside: false }
    }

    /// Returns steps of the same command that run beside these, on another thread.
    pub(crate) fn aside(&self) -> Self {
        Self { all: self.all.clone(), are_aside: true }
    }

    /// Runs a program as the step `name`. Its output is printed at once, or at its end if these steps run beside
    /// others.
    pub(crate) fn program(&mut self, name: &str, command: &mut Command) -> Result {
        let line = as_typed(command);
        let is_aside = self.are_aside;
        self.step(name, &line, || if is_aside { run_aside(command, &line) } else { run(command, &line) })
    }

    /// Runs the last program. Nothing is printed after it, so that its last lines are the last ones.
    pub(crate) fn last_program(&mut self, name: &str, command: &mut Command) -> Result {
        let line = as_typed(command);
        self.end();
        self.announce(name, &line);
        run(command, &line).map_err(|failure| print_failure(failure, name, &line))
    }

    /// Does `work` as the step `name`. `again` is the command that runs only this step.
    pub(crate) fn step<T>(&mut self, name: &str, again: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.announce(name, again);
        let start = Instant::now();
        let done = work().map_err(|failure| print_failure(failure, name, again))?;
        print_line(&format!("{name}: done in {}", readable(start.elapsed())));
        Ok(done)
    }

    /// Skips a step, and prints the reason.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        print_line(&format!("{name}: SKIPPED, {why}"));
        self.all.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// Prints the total time and the skipped steps.
    pub(crate) fn end(&self) {
        let skipped = self.all.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = match skipped.join(", ") {
            names if names.is_empty() => String::new(),
            names => format!(", skipped: {names}"),
        };
        let count = self.all.count.load(Ordering::Relaxed);
        print_line(&format!("{count} steps done in {}{skipped}", readable(self.all.start.elapsed())));
    }

    fn announce(&mut self, name: &str, again: &str) {
        let number = self.all.count.fetch_add(1, Ordering::Relaxed) + 1;
        print_line(&format!("{number}. {name}: {again}"));
    }
}

fn run(command: &mut Command, line: &str) -> Result {
    judge(command.status(), line)
}

fn run_aside(command: &mut Command, line: &str) -> Result {
    let ended = command.output();
    if let Ok(ended) = &ended {
        print_output(&[&ended.stdout, &ended.stderr]);
    }
    judge(ended.map(|ended| ended.status), line)
}

fn judge(ended: io::Result<ExitStatus>, line: &str) -> Result {
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::of_program(format!("`{line}` ended with {status}"), status)),
        Err(error) => Err(Failure::new(format!("cannot run `{line}`: {error}"))),
    }
}

/// Prints a failure at once: the command ends only when the steps on the other thread have ended, too.
fn print_failure(failure: Failure, name: &str, again: &str) -> Failure {
    print_line(&format!("{name}: FAILED: {failure}\nhint: to run only this step again: {again}"));
    failure.mark_printed()
}

/// Returns a command as one would type it, with its environment variables.
fn as_typed(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
    });
    let arguments = command.get_args().map(|argument| quoted(&argument.to_string_lossy()));
    variables.chain([program(command)]).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Returns the program of a command: `cargo` without its path, any other program with its path.
fn program(command: &Command) -> String {
    let path = Path::new(command.get_program());
    if path.file_name().is_some_and(|name| name == "cargo") {
        "cargo".to_owned()
    } else {
        quoted(&path.to_string_lossy())
    }
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '\'', '"', '(']) { format!("\"{word}\"") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let mut command = Command::new("/somewhere/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(as_typed(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
        let mut command = Command::new("/somewhere/bin/python");
        command.args(["-m", "pytest"]);
        assert_eq!(as_typed(&command), "/somewhere/bin/python -m pytest");
    }
}
