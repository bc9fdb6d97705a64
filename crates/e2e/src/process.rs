//! A child program, and the lines it prints.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::wait::{until, within};

/// A child program. Dropping it kills it.
///
/// If the test has failed, dropping it prints the program's last lines, so that the failure can be understood.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

impl Process {
    /// Starts `command`; messages use `name` for it.
    ///
    /// Its standard input stays open as long as this value lives.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let log = Log::default();
        log.read_from(child.stdout.take().expect("it is piped"));
        log.read_from(child.stderr.take().expect("it is piped"));
        Self { name: name.to_owned(), child, log }
    }

    /// The lines printed so far, on both streams.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The exit code, once the program has ended; -1 for a program ended by a signal.
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("the state of a child can be read");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Waits for its end, and returns the exit code.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub fn wait_for_exit(&mut self, limit: Duration) -> i32 {
        let what = format!("{} ends", self.name);
        until(&what, limit, || self.exit_code())
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends SIGSTOP: the program is suspended, with its connections, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIG{signal} to {} ({pid})",
            self.name
        );
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        // An error means that the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            self.log.show_end(&self.name);
        }
    }
}

/// The lines that a program has printed.
#[derive(Clone, Debug, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// Returns all lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.locked().clone()
    }

    /// Waits for the first line that satisfies `wanted`, and returns it.
    ///
    /// # Panics
    /// When no such line appears within `limit`; the message names `what` was expected.
    pub fn wait_for(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let found = within(limit, || self.locked().iter().find(|line| wanted(line)).cloned());
        found.unwrap_or_else(|| panic!("no line of the log within {limit:?} reports {what}"))
    }

    fn locked(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_from(&self, stream: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                log.locked().push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
    }

    #[expect(clippy::print_stderr, reason = "a failed test shows the log of its programs")]
    fn show_end(&self, name: &str) {
        const SHOWN: usize = 60;
        let lines = self.locked();
        let skipped = lines.len().saturating_sub(SHOWN);
        eprintln!("--- {name}: the last {} of {} lines", lines.len() - skipped, lines.len());
        for line in lines.iter().skip(skipped) {
            eprintln!("{}", line.chars().take(400).collect::<String>());
        }
    }
}
