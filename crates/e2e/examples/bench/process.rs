//! The processes that the benchmark starts: they are spoken to in lines.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

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

/// What a process wrote to its standard error: a pipe that this process reads.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
    end: Vec<u8>,
}

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
        let _ = self.child.kill();
        let end = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default().end;
        Err(format!("a process {problem}; it wrote last:\n{}", String::from_utf8_lossy(&end)))
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
        let mut log = Self::default();
        let mut chunk = vec![0; 1 << 16];
        while let Ok(length @ 1..) = errors.read(&mut chunk) {
            let text = &chunk[..length];
            log.bytes += length;
            log.lines += text.split(|byte| *byte == b'\n').count() - 1;
            log.end.extend_from_slice(&text[length.saturating_sub(SHOWN)..]);
            let excess = log.end.len().saturating_sub(SHOWN);
            log.end.drain(..excess);
        }
        log
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
        assert_eq!(cat.end().unwrap().lines, 0);
    }

    #[test]
    fn a_process_that_fails_shows_its_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2"]);
        let problem = Peer::start(command).unwrap().line().unwrap_err();
        assert!(problem.contains("ended early") && problem.contains("no such thing"), "{problem}");
    }

    #[test]
    fn a_log_is_counted() {
        let log = Log::read(&b"one\ntwo\n"[..]);
        assert_eq!((log.lines, log.bytes, log.end), (2, 8, b"one\ntwo\n".to_vec()));
    }
}
