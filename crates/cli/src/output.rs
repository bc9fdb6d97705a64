//! The only place that prints: data to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Nobody reads standard output any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StdoutClosed;

impl Display for StdoutClosed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("standard output is closed")
    }
}

impl std::error::Error for StdoutClosed {}

/// Prints. What cannot be said on standard error is not said: there is nowhere else to say it.
#[derive(Debug)]
pub(crate) struct Printer {
    stdout: io::Stdout,
    stderr: io::Stderr,
    redraws: bool,
}

impl Printer {
    /// Looks at what standard error is.
    pub(crate) fn new() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let redraws = can_redraw(stderr.is_terminal(), std::env::var_os("TERM").as_deref());
        Self { stdout, stderr, redraws }
    }

    /// Whether what was printed on standard error can be drawn over.
    pub(crate) fn redraws(&self) -> bool {
        self.redraws
    }

    /// A line of data.
    pub(crate) fn data(&self, line: impl Display) -> anyhow::Result<()> {
        let mut stdout = self.stdout.lock();
        written(writeln!(stdout, "{line}").and_then(|()| stdout.flush()))
    }

    /// A line for people.
    pub(crate) fn note(&self, line: impl Display) {
        let _ = writeln!(self.stderr.lock(), "{line}");
    }

    /// What they might do about it.
    pub(crate) fn hint(&self, hint: &str) {
        self.note(format_args!("hint: {hint}"));
    }

    /// What went wrong, and what caused it.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.note(format_args!("error: {error:#}"));
    }

    /// Help, version, or what is wrong with the arguments.
    pub(crate) fn clap(&self, answer: &clap::Error) -> anyhow::Result<()> {
        if answer.use_stderr() {
            let _ = answer.print();
            return Ok(());
        }
        written(answer.print().and_then(|()| self.stdout.lock().flush()))
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => StdoutClosed.into(),
        _ => anyhow::Error::from(error).context("cannot write to standard output"),
    })
}

/// A terminal can, unless it says that it cannot. Nothing is coloured, so `NO_COLOR` changes nothing.
fn can_redraw(terminal: bool, kind: Option<&std::ffi::OsStr>) -> bool {
    terminal && kind.is_some_and(|kind| kind != "dumb" && !kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_can_is_redrawn() {
        for (terminal, kind, redraws) in [
            (true, Some("xterm-256color"), true),
            (true, Some("dumb"), false),
            (true, Some(""), false),
            (true, None, false),
            (false, Some("xterm"), false),
        ] {
            assert_eq!(can_redraw(terminal, kind.map(str::as_ref)), redraws, "{terminal} {kind:?}");
        }
    }
}
