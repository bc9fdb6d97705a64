//! The only place that prints: data to standard output, everything else to standard error.

mod background;
mod paint;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use self::background::Background;
pub(crate) use self::paint::{Paint, Style};
use crate::args::Global;

/// The time between two looks at whether standard output is still read.
const LOOK: Duration = Duration::from_millis(250);

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
    is_json: bool,
    data_paint: Paint,
    note_paint: Paint,
    /// The thread that prints to standard error, if that may not hold up the one that asks for it.
    background: Option<Background>,
}

impl Printer {
    /// Makes a printer, and checks what the streams are.
    pub(crate) fn new(global: &Global) -> Self {
        let mut printer = Self::plain();
        printer.is_json = global.json;
        let paint = |is_terminal| Paint::choose(global.color, is_terminal, |name| std::env::var(name).ok());
        printer.note_paint = paint(printer.stderr.is_terminal());
        if !global.json {
            printer.data_paint = paint(printer.stdout.is_terminal());
        }
        printer
    }

    /// Makes a printer without colours, for what is printed before the arguments are known.
    pub(crate) fn plain() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let redraws = can_redraw(stderr.is_terminal(), std::env::var_os("TERM").as_deref());
        Self {
            stdout,
            stderr,
            redraws,
            is_json: false,
            data_paint: Paint::NONE,
            note_paint: Paint::NONE,
            background: None,
        }
    }

    /// Returns a printer that prints the same without waiting for standard error, for programs that must go on when the
    /// terminal takes nothing. Dropping it gives the last lines 200 ms.
    pub(crate) fn in_background(&self) -> io::Result<Self> {
        let background = Some(Background::start()?);
        Ok(Self { stdout: io::stdout(), stderr: io::stderr(), background, ..*self })
    }

    /// Whether lines on standard error can be redrawn.
    pub(crate) fn redraws(&self) -> bool {
        self.redraws
    }

    /// Whether data are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// The colours of standard output.
    pub(crate) fn data_paint(&self) -> Paint {
        self.data_paint
    }

    /// The colours of standard error.
    pub(crate) fn note_paint(&self) -> Paint {
        self.note_paint
    }

    /// Prints a line of data.
    pub(crate) fn data(&self, line: impl Display) -> anyhow::Result<()> {
        let mut stdout = self.stdout.lock();
        written(writeln!(stdout, "{line}").and_then(|()| stdout.flush()))
    }

    /// Prints a value as a line of JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.data(serde_json::to_string(value).context("cannot write the answer as JSON")?)
    }

    /// Waits until nobody can read standard output any more: the other end of its pipe is closed.
    pub(crate) async fn closed(&self) -> StdoutClosed {
        let mut interval = tokio::time::interval(LOOK);
        loop {
            interval.tick().await;
            let mut stdout = [PollFd::new(&self.stdout, PollFlags::empty())];
            let polled = poll(&mut stdout, Some(&Timespec::default()));
            if polled.is_ok() && stdout[0].revents().contains(PollFlags::ERR) {
                return StdoutClosed;
            }
        }
    }

    /// Prints a line for people.
    pub(crate) fn note(&self, line: impl Display) {
        self.print(format!("{line}\n").into_bytes());
    }

    /// Prints a line of bytes that a program wrote, as they are, after a prefix.
    pub(crate) fn pass_on(&self, prefix: &str, line: &[u8]) {
        self.print([prefix.as_bytes(), line, b"\n"].concat());
    }

    /// Waits until there is room for a line in the background.
    pub(crate) async fn room(&self) {
        if let Some(background) = &self.background {
            background.room().await;
        }
    }

    /// Prints in one piece, so that lines of several programs do not mix.
    fn print(&self, line: Vec<u8>) {
        match &self.background {
            Some(background) => background.print(line),
            None => {
                let _ = self.stderr.lock().write_all(&line);
            }
        }
    }

    /// Prints a warning.
    pub(crate) fn warning(&self, line: impl Display) {
        self.note(format_args!("{} {line}", self.note_paint.apply(Style::Yellow, "warning:")));
    }

    /// Prints a hint on what the user can do.
    pub(crate) fn hint(&self, hint: &str) {
        self.note(format_args!("{} {hint}", self.note_paint.apply(Style::Cyan, "hint:")));
    }

    /// Prints an error with its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.note(format_args!("{} {error:#}", self.note_paint.apply(Style::Red, "error:")));
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

/// Returns whether lines can be redrawn: a terminal can, unless its type says otherwise.
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
