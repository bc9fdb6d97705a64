//! Printing to standard error from a thread of its own: a terminal that takes nothing (Ctrl-S, a pager, a full pipe) stops
//! that thread and nothing else.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

/// The bytes that wait at most; lines beyond are left out and counted.
const MAX_WAITING: usize = 1024 * 1024;

/// The bytes after which a piece for the terminal is large enough.
const PIECE: usize = 64 * 1024;

/// The time after which a terminal that takes nothing is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time that the last lines have when this is dropped.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A thread that prints. Dropping it waits shortly for the last lines.
#[derive(Debug)]
pub(super) struct Background {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something waits, or nothing will any more.
    changed: Condvar,
    /// Everything was printed.
    printed: Condvar,
    /// A piece was taken.
    room: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The lines that were left out since the last piece.
    missing: u64,
    /// Whether the terminal has not taken anything for a while.
    is_stalled: bool,
    is_printing: bool,
    is_closed: bool,
}

impl Background {
    /// Starts a thread that prints to standard error.
    pub(super) fn start() -> io::Result<Self> {
        Self::start_with(io::stderr())
    }

    fn start_with(output: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let printing = shared.clone();
        let thread =
            std::thread::Builder::new().name("terminal".to_owned()).spawn(move || printing.print(output))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Prints a line, which has its end, as soon as the terminal takes it. Never waits.
    pub(super) fn print(&self, line: Vec<u8>) {
        let mut waiting = self.shared.lock();
        if waiting.is_full() {
            waiting.missing += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        self.shared.changed.notify_all();
    }

    /// Waits until there is room for a line, so that a program does not print faster than the terminal shows. One that
    /// takes nothing for a second is not waited for.
    pub(super) async fn room(&self) {
        loop {
            let mut room = std::pin::pin!(self.shared.room.notified());
            room.as_mut().enable();
            if !self.shared.lock().wants_patience() {
                return;
            }
            if tokio::time::timeout(PATIENCE, room).await.is_err() {
                let mut waiting = self.shared.lock();
                waiting.is_stalled = waiting.is_full();
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut waiting = self.shared.lock();
        waiting.is_closed = true;
        self.shared.changed.notify_all();
        let printed = &self.shared.printed;
        let waited = printed.wait_timeout_while(waiting, LAST_LINES, |waiting| !waiting.is_empty());
        let (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_printed = waiting.is_empty();
        drop(waiting);
        // A thread that the terminal holds ends with the process.
        if is_printed && let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn print(&self, mut output: impl Write) {
        while let Some((piece, missing)) = self.piece() {
            // An output that is closed could not be reported anywhere.
            let _ = output.write_all(&piece);
            if missing > 0 {
                let _ = writeln!(output, "{missing} lines are missing here: the terminal did not take them");
            }
        }
    }

    /// Waits for the next piece. `None` at the end.
    fn piece(&self) -> Option<(Vec<u8>, u64)> {
        let mut waiting = self.lock();
        waiting.is_printing = false;
        if waiting.is_empty() {
            self.printed.notify_all();
        }
        while waiting.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut piece = Vec::new();
        while piece.len() < PIECE
            && let Some(line) = waiting.lines.pop_front()
        {
            waiting.bytes -= line.len();
            piece.extend_from_slice(&line);
        }
        (waiting.is_stalled, waiting.is_printing) = (false, true);
        // What is missing came after everything that waited.
        let missing = if waiting.lines.is_empty() { std::mem::take(&mut waiting.missing) } else { 0 };
        drop(waiting);
        self.room.notify_waiters();
        Some((piece, missing))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        // A line has room as long as those before it are below the limit. After a gap there is none until it was told.
        self.bytes >= MAX_WAITING || self.missing > 0
    }

    fn wants_patience(&self) -> bool {
        self.is_full() && !self.is_stalled
    }

    /// Whether there is nothing to print, and nothing being printed.
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.missing == 0 && !self.is_printing
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that writes when it is told to.
    struct Terminal {
        permits: mpsc::Receiver<()>,
        shown: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Without anybody who holds it up, it writes.
            let _ = self.permits.recv();
            self.shown.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns a terminal that takes a piece with each permit. A permit is taken when it is about to write.
    fn terminal() -> (Background, mpsc::SyncSender<()>, Arc<Mutex<Vec<u8>>>) {
        let (permit, permits) = mpsc::sync_channel(0);
        let shown = Arc::default();
        let terminal = Terminal { permits, shown: Arc::clone(&shown) };
        (Background::start_with(terminal).expect("a thread"), permit, shown)
    }

    /// Waits for what may be more than fits into the time of the last lines.
    async fn until_printed(background: &Background) {
        while !background.shared.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    fn line(number: u32) -> Vec<u8> {
        let mut line = format!("{number} {}", "x".repeat(1000)).into_bytes();
        line.push(b'\n');
        line
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_that_takes_nothing_loses_lines_which_are_counted() {
        let (background, permit, shown) = terminal();
        let count = 5000;
        for number in 0..count {
            background.room().await;
            background.print(line(number));
        }
        drop(permit);
        until_printed(&background).await;
        drop(background);
        let text = String::from_utf8(shown.lock().expect("no panic").clone()).expect("text");
        let shown = text.lines().filter(|line| line.ends_with("xxx")).count();
        assert!(shown > 1000 && shown < count as usize, "{shown}");
        let last = text.lines().last().expect("a line");
        let missing = count as usize - shown;
        assert_eq!(last, format!("{missing} lines are missing here: the terminal did not take them"));
    }

    /// The terminal takes one piece whenever it is waited for, after half of the time that it is waited for.
    #[tokio::test(start_paused = true)]
    async fn a_slow_terminal_gets_every_line() {
        let (background, permit, shown) = terminal();
        let mut waits = 0;
        for number in 0..5000 {
            let take_one = async {
                waits += 1;
                tokio::time::sleep(PATIENCE / 2).await;
                permit.send(()).expect("it is there");
                // The clock stands still while the thread writes.
                loop {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = background.room() => {}
                () = take_one => {}
            }
            background.print(line(number));
        }
        assert!(waits > 30, "it was slow: {waits}");
        drop(permit);
        until_printed(&background).await;
        drop(background);
        let text = String::from_utf8(shown.lock().expect("no panic").clone()).expect("text");
        let numbers = text.lines().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
        assert!(numbers.eq(0..5000));
    }
}
