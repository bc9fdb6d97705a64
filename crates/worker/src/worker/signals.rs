//! The signals of the process while a worker runs.
//!
//! | signal | while a worker runs |
//! |---|---|
//! | SIGTERM, SIGINT | the first and the second are phases of the end (see `shutdown`); the third has its default action |
//! | SIGHUP | as SIGTERM, unless it was ignored when the worker began (`nohup`); then it stays ignored |
//! | SIGXFSZ, SIGPIPE | nothing: the write fails with an error, which belongs to one task, connection or file |
//! | any other | not touched |
//!
//! The first `run` installs the operating system's handlers for good (`signal-hook` cannot remove them). But while no
//! worker runs, signals have their default action: there is none for process 1, which ends with 128 and the signal's
//! number instead.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::{flag, low_level};
use tokio::sync::mpsc;

use crate::threads::lock;
use crate::worker::shutdown::StopCause;

/// The number of runs that listen. The flag below is changed under this lock only, except for the third signal of a run.
static LISTENING: Mutex<usize> = Mutex::new(0);

/// Whether signals have their default action.
static DEFAULT_ACTION: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// The signals whose handlers look at this flag, once they are installed.
static INSTALLED: Mutex<Option<Taken>> = Mutex::new(None);

/// The signals that a run takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    /// They end the run.
    ending: Vec<i32>,
    /// They have no effect.
    harmless: Vec<i32>,
}

/// Receives signals while it lives.
#[derive(Debug)]
pub(super) struct Listening {
    signals: Handle,
    /// Counts signals on a thread of its own: the second and the third have their effect even if the program's runtime is
    /// blocked and the control path has not begun.
    thread: Option<JoinHandle<()>>,
}

/// The signals that end a worker, from the process and from handles.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) sender: mpsc::Sender<StopCause>,
    pub(super) signals: mpsc::Receiver<StopCause>,
    pub(super) listening: Option<Listening>,
}

impl Default for Incoming {
    /// Leaves the signals of the process alone.
    fn default() -> Self {
        // At most two from the process and two from handles.
        let (sender, signals) = mpsc::channel(4);
        Self { sender, signals, listening: None }
    }
}

impl Incoming {
    /// Begins to receive the signals of the process.
    pub(super) fn of_process() -> io::Result<Self> {
        let incoming = Self::default();
        let listening = Listening::begin(incoming.sender.clone())?;
        Ok(Self { listening: Some(listening), ..incoming })
    }
}

impl Listening {
    /// Begins to receive signals, the first two of which are sent.
    fn begin(sender: mpsc::Sender<StopCause>) -> io::Result<Self> {
        let mut installed = lock(&INSTALLED);
        let is_first = installed.is_none();
        let status = || std::fs::read_to_string("/proc/self/status").ok();
        let taken = installed.clone().unwrap_or_else(|| taken(ignored(status().as_deref())));
        // If this installs the first handlers, a signal is received from here on.
        let signals = Signals::new(&taken.ending)?;
        let mut listening = Self { signals: signals.handle(), thread: None };
        {
            let mut count = lock(&LISTENING);
            *count += 1;
            DEFAULT_ACTION.store(false, Ordering::SeqCst);
        }
        if is_first {
            taken.install()?;
        }
        *installed = Some(taken);
        drop(installed);
        // Its log lines go where the caller's go.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::Builder::new().name("avtomatika-signals".to_owned());
        listening.thread = Some(thread.spawn(move || {
            let _collected = tracing::dispatcher::set_default(&dispatch);
            forward(signals, &sender);
        })?);
        Ok(listening)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // From now on a signal can end the process.
        flush_log();
        let mut listening = lock(&LISTENING);
        *listening -= 1;
        if *listening == 0 {
            DEFAULT_ACTION.store(true, Ordering::SeqCst);
        }
        drop(listening);
        self.signals.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Taken {
    /// Gives the signals their default action whenever the flag says so.
    fn install(&self) -> io::Result<()> {
        for &number in self.ending.iter().chain(&self.harmless) {
            if is_process_1() {
                flag::register_conditional_shutdown(number, exit_code(number), DEFAULT_ACTION.clone())?;
            } else {
                flag::register_conditional_default(number, DEFAULT_ACTION.clone())?;
            }
        }
        Ok(())
    }
}

/// The signals to take over, by the set of those that are ignored. Where that is unknown, only those are taken over that
/// nobody ignores for a reason.
fn taken(ignored: Option<u64>) -> Taken {
    let is_default = |number: i32| ignored.is_some_and(|set| set & (1 << (number - 1)) == 0);
    let mut taken = Taken { ending: vec![SIGTERM, SIGINT], harmless: Vec::new() };
    taken.ending.extend(Some(SIGHUP).filter(|number| is_default(*number)));
    // Children would inherit a handler as the default action, so an ignored signal stays ignored.
    taken.harmless.extend([SIGXFSZ, SIGPIPE].into_iter().filter(|number| is_default(*number)));
    taken
}

/// The set of ignored signals in Linux's description of a process: bit 0 is signal 1.
fn ignored(status: Option<&str>) -> Option<u64> {
    let mask = status?.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn is_process_1() -> bool {
    std::process::id() == 1
}

/// The exit code with which shells report a process that a signal has ended.
fn exit_code(number: i32) -> i32 {
    128 + number
}

fn forward(mut signals: Signals, sender: &mpsc::Sender<StopCause>) {
    for (number, signal) in (1..).zip(signals.forever()) {
        let cause = if signal == SIGINT { StopCause::Interrupt } else { StopCause::Terminate };
        if number <= 2 {
            // The receiver is gone when the worker has ended, and never lags behind by more than it has room for.
            let _ = sender.try_send(cause);
            continue;
        }
        // A further signal does not wait for the log.
        DEFAULT_ACTION.store(true, Ordering::SeqCst);
        flush_log();
        if is_process_1() {
            low_level::exit(exit_code(signal));
        }
        if let Err(error) = low_level::emulate_default_handler(signal) {
            tracing::error!(%error, "the default action of a signal failed");
        }
    }
}

/// Writes the log's last lines.
fn flush_log() {
    #[cfg(feature = "logging")]
    crate::logging::flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_default_action_while_no_worker_runs() {
        let is_default = || DEFAULT_ACTION.load(Ordering::SeqCst);
        assert!(is_default());
        let (sender, mut receiver) = mpsc::channel(4);
        let first = Listening::begin(sender.clone()).expect("installed");
        let second = Listening::begin(sender).expect("installed");
        assert!(!is_default());
        drop(first);
        assert!(!is_default());
        low_level::raise(SIGHUP).expect("raised");
        assert_eq!(receiver.blocking_recv(), Some(StopCause::Terminate));
        low_level::raise(SIGXFSZ).expect("raised");
        low_level::raise(SIGPIPE).expect("raised");
        drop(second);
        assert!(is_default());
    }

    #[test]
    fn an_ignored_signal_stays_ignored() {
        let status = |mask| ignored(Some(&format!("Name:\tx\nSigIgn:\t{mask}\nSigCgt:\t0\n")));
        let (ending, all_ending) = (vec![SIGTERM, SIGINT], vec![SIGTERM, SIGINT, SIGHUP]);
        let table = [
            ("0000000000000000", all_ending.clone(), vec![SIGXFSZ, SIGPIPE]),
            // SIGPIPE, as in every program of Rust's standard library.
            ("0000000000001000", all_ending, vec![SIGXFSZ]),
            // And SIGHUP, under `nohup`.
            ("0000000000001001", ending.clone(), vec![SIGXFSZ]),
            // And SIGXFSZ, as in Python.
            ("0000000001001001", ending.clone(), vec![]),
        ];
        for (mask, ending, harmless) in table {
            assert_eq!(taken(status(mask)), Taken { ending, harmless }, "{mask}");
        }
        for unknown in [None, Some(""), Some("SigIgn:\tno number")] {
            assert_eq!(taken(ignored(unknown)), Taken { ending: ending.clone(), harmless: vec![] });
        }
    }

    #[test]
    fn exit_codes_are_those_that_shells_report() {
        assert_eq!((exit_code(SIGTERM), exit_code(SIGINT)), (143, 130));
    }
}
