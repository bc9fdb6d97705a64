//! Steps one after another: each is announced, timed, and the first that fails ends it. Others may go on aside meanwhile.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::output::{readable, say, show_whole};

#[derive(Debug)]
pub(crate) struct Steps {
    all: Arc<All>,
    /// Whether others go on meanwhile: then the output of a program is shown when it has ended, in one piece.
    are_aside: bool,
}

/// The steps of a command, those that go on aside included.
#[derive(Debug)]
struct All {
    start: Instant,
    /// The number of those begun.
    count: AtomicUsize,
    /// Those left out, to be named once more at the end.
    skipped: Mutex<Vec<String>>,
}

impl Steps {
    pub(crate) fn begin() -> Self {
        let all = All { start: Instant::now(), count: AtomicUsize::new(0), skipped: Mutex::default() };
        Self { all: Arc::new(all), are_aside: false }
    }

    /// Steps of the same command that go on beside these, on another thread.
    pub(crate) fn aside(&self) -> Self {
        Self { all: self.all.clone(), are_aside: true }
    }

    /// Runs a program as the step `name`; its output goes where ours goes, at once or, aside, at its end.
    pub(crate) fn program(&mut self, name: &str, command: &mut Command) -> Result {
        let line = as_typed(command);
        let is_aside = self.are_aside;
        self.step(name, &line, || if is_aside { run_aside(command, &line) } else { run(command, &line) })
    }

    /// Runs the last program. Nothing is said after it, so that what it says in the end comes last.
    pub(crate) fn last_program(&mut self, name: &str, command: &mut Command) -> Result {
        let line = as_typed(command);
        self.end();
        self.announce(name, &line);
        run(command, &line).map_err(|failure| told(failure, name, &line))
    }

    /// Does `work` as the step `name`, which `again` repeats alone.
    pub(crate) fn step<T>(&mut self, name: &str, again: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.announce(name, again);
        let start = Instant::now();
        let done = work().map_err(|failure| told(failure, name, again))?;
        say(&format!("{name}: done in {}", readable(start.elapsed())));
        Ok(done)
    }

    /// Leaves a step out and says why.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        say(&format!("{name}: SKIPPED, {why}"));
        self.all.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// Says how long it took, and what was left out.
    pub(crate) fn end(&self) {
        let skipped = self.all.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = match skipped.join(", ") {
            names if names.is_empty() => String::new(),
            names => format!(", skipped: {names}"),
        };
        let count = self.all.count.load(Ordering::Relaxed);
        say(&format!("{count} steps done in {}{skipped}", readable(self.all.start.elapsed())));
    }

    fn announce(&mut self, name: &str, again: &str) {
        let number = self.all.count.fetch_add(1, Ordering::Relaxed) + 1;
        say(&format!("{number}. {name}: {again}"));
    }
}

fn run(command: &mut Command, line: &str) -> Result {
    judge(command.status(), line)
}

fn run_aside(command: &mut Command, line: &str) -> Result {
    let ended = command.output();
    if let Ok(ended) = &ended {
        show_whole(&[&ended.stdout, &ended.stderr]);
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

/// Says at once what failed, since another thread may be waited for before we end.
fn told(failure: Failure, name: &str, again: &str) -> Failure {
    say(&format!("{name}: FAILED: {failure}\nhint: just this step again: {again}"));
    failure.already_told()
}

/// The command as one would type it, with the variables set for it.
fn as_typed(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
    });
    let arguments = command.get_args().map(|argument| quoted(&argument.to_string_lossy()));
    variables.chain([program(command)]).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// `cargo` by its name, whichever it is; anything else by where it is.
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
    fn a_step_says_how_it_is_typed() {
        let mut command = Command::new("/somewhere/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(as_typed(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
        let mut command = Command::new("/somewhere/bin/python");
        command.args(["-m", "pytest"]);
        assert_eq!(as_typed(&command), "/somewhere/bin/python -m pytest");
    }
}
