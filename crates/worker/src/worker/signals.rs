//! The signals of the process while a worker runs.
//!
//! | signal | while a worker runs |
//! |---|---|
//! | SIGTERM, SIGINT | the first and the second are phases of the end (see `shutdown`); the third has its default action |
//! | SIGHUP | as SIGTERM, if it had its default action before the first worker of the process; else not touched: it is ignored (`nohup`), or the program has a handler of its own |
//! | SIGXFSZ, SIGPIPE | nothing, on the same condition: the write fails with an error, which belongs to one task, connection or file |
//! | any other | not touched |
//!
//! The first `run` installs the operating system's handlers for good (`signal-hook` cannot remove them). But while no
//! worker runs, signals have their default action: there is none for process 1, which ends with 128 and the signal's
//! number instead.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::{flag, low_level};
use tokio::sync::mpsc;

use crate::threads::lock;
use crate::worker::shutdown::StopCause;

/// How often the third signal looks whether the first two were received, and how many times at most.
const STEP: Duration = Duration::from_millis(5);
const MAX_STEPS: usize = 60;

/// The number of runs that listen. The flag below is changed under this lock only, except for the third signal of a run.
static LISTENING: Mutex<usize> = Mutex::new(0);

/// Whether signals have their default action.
static DEFAULT_ACTION: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// The signals that the runs of this process take over. They are found out once: afterwards the process has handlers for
/// them, which are ours.
static TAKEN: LazyLock<Taken> =
    LazyLock::new(|| taken(changed(std::fs::read_to_string("/proc/self/status").ok().as_deref())));

/// Whether the handlers that look at this flag are installed.
static INSTALLED: Mutex<bool> = Mutex::new(false);

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
        let mut is_installed = lock(&INSTALLED);
        // If this installs the first handlers, a signal is received from here on.
        let signals = Signals::new(&TAKEN.ending)?;
        let mut listening = Self { signals: signals.handle(), thread: None };
        {
            let mut count = lock(&LISTENING);
            *count += 1;
            DEFAULT_ACTION.store(false, Ordering::SeqCst);
        }
        if !*is_installed {
            TAKEN.install()?;
            *is_installed = true;
        }
        drop(is_installed);
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

/// The signals to take over, by the set of those that do not have their default action. Where that is unknown, only those
/// are taken over that end every program.
fn taken(changed: Option<u64>) -> Taken {
    let is_default = |number: i32| changed.is_some_and(|set| set & bit(number) == 0);
    let mut taken = Taken { ending: vec![SIGTERM, SIGINT], harmless: Vec::new() };
    // Children would inherit a handler as the default action, so an ignored signal stays ignored. A program may mean
    // something else by SIGHUP, such as to read its files again.
    taken.ending.extend(Some(SIGHUP).filter(|number| is_default(*number)));
    taken.harmless.extend([SIGXFSZ, SIGPIPE].into_iter().filter(|number| is_default(*number)));
    taken
}

/// The set of signals that are ignored or have a handler, in Linux's description of a process.
fn changed(status: Option<&str>) -> Option<u64> {
    let set = |name: &str| {
        let mask = status?.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    Some(set("SigIgn:")? | set("SigCgt:")?)
}

/// The place of a signal in such a set.
fn bit(number: i32) -> u64 {
    1 << (number - 1)
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
        wait_until_said(sender);
        flush_log();
        if is_process_1() {
            low_level::exit(exit_code(signal));
        }
        if let Err(error) = low_level::emulate_default_handler(signal) {
            tracing::error!(%error, "the default action of a signal failed");
        }
    }
}

/// Waits until the first two signals were received and had their lines in the log, for a moment at most: on a busy machine
/// the third may be faster.
fn wait_until_said(sender: &mpsc::Sender<StopCause>) {
    for _ in 0..MAX_STEPS {
        let is_received = sender.capacity() == sender.max_capacity() || sender.is_closed();
        std::thread::sleep(STEP);
        if is_received {
            return;
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
    use signal_hook::consts::SIGUSR2;

    use super::*;

    #[test]
    fn signals_have_their_default_action_while_no_worker_runs() {
        let is_default = || DEFAULT_ACTION.load(Ordering::SeqCst);
        let (sender, mut receiver) = mpsc::channel(4);
        // A later run takes over what the first one did, though there are handlers now: ours.
        for _ in 0..3 {
            assert!(is_default());
            let first = Listening::begin(sender.clone()).expect("installed");
            let second = Listening::begin(sender.clone()).expect("installed");
            assert!(!is_default());
            drop(first);
            assert!(!is_default());
            low_level::raise(SIGHUP).expect("raised");
            assert_eq!(receiver.blocking_recv(), Some(StopCause::Terminate));
            low_level::raise(SIGXFSZ).expect("raised");
            low_level::raise(SIGPIPE).expect("raised");
            drop(second);
        }
        assert!(is_default());
    }

    #[test]
    fn only_signals_with_their_default_action_are_taken_over() {
        let ended = |further: &[i32]| [&[SIGTERM, SIGINT], further].concat();
        let table = [
            (0, 0, ended(&[SIGHUP]), vec![SIGXFSZ, SIGPIPE]),
            // As in every program of Rust's standard library, which also catches SIGSEGV and SIGBUS.
            (bit(SIGPIPE), 0x440, ended(&[SIGHUP]), vec![SIGXFSZ]),
            // Under `nohup`.
            (bit(SIGPIPE) | bit(SIGHUP), 0, ended(&[]), vec![SIGXFSZ]),
            // In Python.
            (bit(SIGPIPE) | bit(SIGXFSZ), bit(SIGINT), ended(&[SIGHUP]), vec![]),
            // With handlers of the program's own.
            (0, bit(SIGHUP), ended(&[]), vec![SIGXFSZ, SIGPIPE]),
            (0, bit(SIGPIPE) | bit(SIGXFSZ), ended(&[SIGHUP]), vec![]),
            // These two end every program.
            (bit(SIGINT), bit(SIGTERM), ended(&[SIGHUP]), vec![SIGXFSZ, SIGPIPE]),
        ];
        for (ignored, caught, ending, harmless) in table {
            let status = format!("Name:\tx\nSigBlk:\t0\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n");
            assert_eq!(taken(changed(Some(&status))), Taken { ending, harmless }, "{status}");
        }
        for unknown in [None, Some(""), Some("SigIgn:\t0\n"), Some("SigIgn:\tno number\nSigCgt:\t0\n")] {
            assert_eq!(taken(changed(unknown)), Taken { ending: ended(&[]), harmless: vec![] });
        }
    }

    #[test]
    fn the_system_tells_of_a_handler_of_the_programs_own() {
        let is_changed = || {
            let status = std::fs::read_to_string("/proc/self/status").expect("read");
            changed(Some(&status)).expect("two sets") & bit(SIGUSR2) != 0
        };
        assert!(!is_changed());
        flag::register(SIGUSR2, Arc::default()).expect("installed");
        assert!(is_changed());
    }

    #[test]
    fn exit_codes_are_those_that_shells_report() {
        assert_eq!((exit_code(SIGTERM), exit_code(SIGINT)), (143, 130));
    }
}
