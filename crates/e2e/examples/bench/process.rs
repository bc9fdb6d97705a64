//! The processes that the benchmark starts: they are spoken to in lines.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::measure::cpu_seconds_of;

/// The time for which a process may print nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// The end of the standard error that is shown when a process fails.
const SHOWN: usize = 2000;

/// A process, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    lines: Receiver<String>,
    log: Option<JoinHandle<Log>>,
}

/// What a process wrote to its standard error: a pipe that this process reads. It is looked at only after the measurement.
#[derive(Debug, Default)]
pub(crate) struct Log(String);

impl Peer {
    /// Starts this program in one of its roles.
    pub(crate) fn role(arguments: &[&str]) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(arguments);
        Self::start(command)
    }

    pub(crate) fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            // Ends with the process.
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let log = child.stderr.take().map(|errors| thread::spawn(move || Log::read(errors)));
        Ok(Self { child, lines, log })
    }

    /// Waits for the next line of its output.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        let problem = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => return Ok(line.trim().to_owned()),
            Err(RecvTimeoutError::Timeout) => "printed nothing for too long",
            Err(RecvTimeoutError::Disconnected) => "ended early",
        };
        Err(self.failure(problem))
    }

    /// Kills it, and returns the problem with its last words.
    fn failure(&mut self, problem: &str) -> String {
        let _ = self.child.kill();
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        format!("a process {problem}; it wrote last:\n{}", log.last_words())
    }

    /// Waits for the next line of its output, as long as another process runs, on which it depends.
    pub(crate) fn line_while_runs(&mut self, other: &mut Self) -> Result<String, String> {
        const TURN: Duration = Duration::from_millis(500);
        let given_up = Instant::now() + PATIENCE;
        while !matches!(other.child.try_wait(), Ok(Some(_))) && Instant::now() < given_up {
            if let Ok(line) = self.lines.recv_timeout(TURN) {
                return Ok(line);
            }
        }
        // It says why it ended, or is killed.
        Err(other.failure("did not do its work"))
    }

    /// Waits for a line of so many numbers.
    pub(crate) fn numbers<const N: usize>(&mut self) -> Result<[f64; N], String> {
        let mut line = self.line()?;
        // The existing packages write their log to standard output.
        while line.starts_with('[') {
            line = self.line()?;
        }
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().map_err(|_| format!("a process printed `{line}`, expected {N} numbers"))
    }

    /// Writes a line to its input.
    pub(crate) fn send(&mut self, line: &str) -> Result<(), String> {
        let input = self.child.stdin.as_mut().ok_or("the input of a process is closed")?;
        writeln!(input, "{line}").map_err(|error| error.to_string())
    }

    /// Closes its input, which ends the roles that serve. Its output can still be read.
    pub(crate) fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Closes its input, and waits until it has ended.
    pub(crate) fn end(mut self) -> Result<Log, String> {
        self.close();
        self.child.wait().map_err(|error| error.to_string())?;
        Ok(self.log.take().and_then(|log| log.join().ok()).unwrap_or_default())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its processor time so far, in steps of 10 ms.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(self.child.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Log {
    fn read(mut errors: impl Read) -> Self {
        let mut text = Vec::new();
        let _ = errors.read_to_end(&mut text);
        Self(String::from_utf8_lossy(&text).into_owned())
    }

    /// The number of lines that contain this.
    pub(crate) fn lines_with(&self, part: &str) -> usize {
        self.0.lines().filter(|line| line.contains(part)).count()
    }

    fn last_words(&self) -> &str {
        &self.0[self.0.ceil_char_boundary(self.0.len().saturating_sub(SHOWN))..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_both_ways() {
        let mut cat = Peer::start(Command::new("cat")).unwrap();
        cat.send("1 2.5").unwrap();
        assert_eq!(cat.numbers(), Ok([1.0, 2.5]));
        cat.send("one").unwrap();
        assert!(cat.numbers::<1>().unwrap_err().contains("`one`"));
        assert_eq!(cat.end().unwrap().0, "");
    }

    #[test]
    fn a_process_that_fails_shows_its_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2"]);
        let problem = Peer::start(command).unwrap().line().unwrap_err();
        assert!(problem.contains("ended early") && problem.contains("no such thing"), "{problem}");
    }

    #[test]
    fn lines_of_a_log_are_counted() {
        let log = Log::read(&b"one a\ntwo a\nthree\n"[..]);
        assert_eq!((log.lines_with("a"), log.lines_with("one"), log.lines_with("four")), (2, 1, 0));
    }
}
