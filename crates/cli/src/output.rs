//! The only place that prints: data to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// The error for a standard output that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StdoutClosed;

impl Display for StdoutClosed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("standard output is closed")
    }
}

impl std::error::Error for StdoutClosed {}

/// Prints data and messages. Errors in printing to standard error are ignored: they could not be reported anywhere.
#[derive(Debug)]
pub(crate) struct Printer {
    stdout: io::Stdout,
    stderr: io::Stderr,
    redraws: bool,
}

impl Printer {
    /// Makes a printer, and checks whether standard error is a terminal.
    pub(crate) fn new() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let redraws = can_redraw(stderr.is_terminal(), std::env::var_os("TERM").as_deref());
        Self { stdout, stderr, redraws }
    }

    /// Whether lines on standard error can be redrawn.
    pub(crate) fn redraws(&self) -> bool {
        self.redraws
    }

    /// Prints a line of data.
    pub(crate) fn data(&self, line: impl Display) -> anyhow::Result<()> {
        let mut stdout = self.stdout.lock();
        written(writeln!(stdout, "{line}").and_then(|()| stdout.flush()))
    }

    /// Prints a line for people.
    pub(crate) fn note(&self, line: impl Display) {
        let _ = writeln!(self.stderr.lock(), "{line}");
    }

    /// Prints a hint on what the user can do.
    pub(crate) fn hint(&self, hint: &str) {
        self.note(format_args!("hint: {hint}"));
    }

    /// Prints an error with its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.note(format_args!("error: {error:#}"));
    }

    /// Prints the help, the version, or the error in the arguments.
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

/// Returns whether lines can be redrawn: a terminal can, unless its type says otherwise. Nothing is coloured, so
/// `NO_COLOR` has no effect.
fn can_redraw(terminal: bool, kind: Option<&std::ffi::OsStr>) -> bool {
    terminal && kind.is_some_and(|kind| kind != "dumb" && !kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_capable_terminals_are_redrawn() {
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
