//! The thread that writes the log, so that a slow reader never stops the worker.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::clock::Clock;
use crate::config::LogFormat;
use crate::threads::lock;

/// The length of the text that may wait to be written. Further lines are dropped and counted.
const MAX_WAITING: usize = 16 << 20;

/// The length of the parts in which text waits: what waits is never moved.
const PART: usize = 64 << 10;

/// The time for which the thread collects lines after it has written some. To wake it for each line would cost a system
/// call where the line is logged.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes lines for the thread. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct LineWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    format: LogFormat,
    state: Mutex<State>,
    /// Signalled when there is something to do.
    work: Condvar,
    /// Signalled when everything is written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The text that waits, and its length.
    waiting: Vec<Vec<u8>>,
    length: usize,
    /// An empty part, to be used again.
    spare: Option<Vec<u8>>,
    dropped: usize,
    is_writing: bool,
    /// The thread waits for a signal. At other times, it looks again by itself.
    is_asleep: bool,
    /// The number of callers that wait until everything is written.
    flushing: usize,
    is_closed: bool,
}

impl State {
    fn is_written(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing
    }

    /// Whether the thread may wait for more lines before it writes those that it has.
    fn may_collect(&self) -> bool {
        self.flushing == 0 && !self.is_closed && self.length < PART
    }

    fn push(&mut self, line: &str) {
        let length = line.len() + 1;
        if self.waiting.last().is_none_or(|part| part.len() + length > PART) {
            self.waiting.push(self.spare.take().unwrap_or_else(|| Vec::with_capacity(length.max(PART))));
        }
        if let Some(part) = self.waiting.last_mut() {
            part.extend_from_slice(line.as_bytes());
            part.push(b'\n');
            self.length += length;
        }
    }
}

impl LineWriter {
    /// Starts the thread, which ends when [`close`](Self::close) was called and everything is written.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        format: LogFormat,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (state, work, written) = (Mutex::default(), Condvar::new(), Condvar::new());
        let writer = Self(Arc::new(Shared { format, state, work, written }));
        let of_thread = writer.clone();
        let thread = std::thread::Builder::new().name("avtomatika-log".to_owned());
        Ok((writer, thread.spawn(move || of_thread.write_all_to(output))?))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Takes a line, without its end.
    pub(super) fn write_line(&self, line: &str) {
        let mut state = self.state();
        if state.is_closed || state.length + line.len() >= MAX_WAITING {
            state.dropped += 1;
            return;
        }
        state.push(line);
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.0.work.notify_one();
        }
    }

    fn write_all_to(&self, mut output: impl Write) {
        let mut has_written = false;
        while let Some((mut parts, dropped)) = self.next(has_written) {
            if dropped > 0 {
                parts.push(missing(dropped, self.0.format).into_bytes());
            }
            for part in &parts {
                // There is nowhere to report an error to.
                let _ = output.write_all(part);
            }
            let _ = output.flush();
            has_written = true;
            if let Some(mut part) = parts.pop().filter(|part| part.capacity() == PART) {
                part.clear();
                self.state().spare = Some(part);
            }
        }
    }

    /// Waits for text. Returns it with the number of lines dropped after it, or `None` at the end.
    fn next(&self, has_written: bool) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut state = self.state();
        state.is_writing = false;
        if state.waiting.is_empty() {
            self.0.written.notify_all();
        }
        if has_written {
            let waited = self.0.work.wait_timeout_while(state, PAUSE, |state| state.may_collect());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            state.is_asleep = true;
            state = self.0.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_asleep = false;
        }
        state.is_writing = true;
        state.length = 0;
        Some((std::mem::take(&mut state.waiting), std::mem::take(&mut state.dropped)))
    }

    /// Waits until every line is written, for at most this long. Returns whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.state();
        state.flushing += 1;
        self.0.work.notify_one();
        let waited = self.0.written.wait_timeout_while(state, limit, |state| !state.is_written());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.flushing -= 1;
        state.is_written()
    }

    /// Ends the thread once everything is written. Further lines are dropped.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.0.work.notify_all();
    }
}

/// The line in place of those that were dropped.
fn missing(dropped: usize, format: LogFormat) -> String {
    let message = format!("{dropped} lines of the log are missing: its reader is too slow");
    match format {
        LogFormat::Text => format!("… {message}\n"),
        LogFormat::Json => {
            let mut timestamp = String::new();
            Clock::default().write_now(&mut timestamp);
            let line = json!({
                "timestamp": timestamp, "level": "WARN", "message": message, "target": module_path!(),
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes nothing until it is told so.
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_stops_nobody_and_learns_what_is_missing() {
        let (go, wait) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let slow = Slow(wait, sender);
        let (writer, thread) = LineWriter::start(slow, LogFormat::Text).expect("a thread");
        let line = "x".repeat(MAX_WAITING / 4 - 1);
        for _ in 0..10 {
            writer.write_line(&line);
        }
        assert!(!writer.flush(Duration::from_millis(1)), "it waits no longer");
        writer.close();
        drop(go);
        thread.join().expect("it ends");
        let text: Vec<u8> = written.iter().flatten().collect();
        assert!((4 * line.len()..9 * line.len()).contains(&text.len()), "{}", text.len());
        assert!(String::from_utf8_lossy(&text).contains("lines of the log are missing"));
    }

    #[test]
    fn what_is_missing_is_said_in_the_format_of_the_log() {
        assert!(missing(7, LogFormat::Text).starts_with("… 7 lines of the log are missing"));
        let line = missing(7, LogFormat::Json);
        let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        assert_eq!(record["level"], "WARN");
        assert!(record["message"].as_str().is_some_and(|text| text.starts_with("7 lines")), "{line}");
        assert!(record["timestamp"].as_str().is_some_and(|text| text.ends_with('Z')), "{line}");
    }

    #[test]
    fn after_a_flush_everything_is_written() {
        let (go, wait) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let slow = Slow(wait, sender);
        let (writer, thread) = LineWriter::start(slow, LogFormat::Text).expect("a thread");
        drop(go);
        for number in 0..100 {
            writer.write_line(&number.to_string());
            assert!(writer.flush(Duration::from_secs(60)));
            let text: Vec<u8> = written.try_iter().flatten().collect();
            assert_eq!(String::from_utf8_lossy(&text), format!("{number}\n"));
        }
        writer.close();
        thread.join().expect("it ends");
    }

    #[test]
    fn what_waits_is_written_in_order_and_in_whole_lines() {
        let (go, wait) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let (writer, thread) = LineWriter::start(Slow(wait, sender), LogFormat::Text).expect("a thread");
        let lines: Vec<String> = (0..5000).map(|number| format!("{number}: {}", "x".repeat(100))).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| lines.iter().for_each(|line| writer.write_line(line)));
        });
        writer.close();
        drop(go);
        thread.join().expect("it ends");
        let parts: Vec<Vec<u8>> = written.iter().collect();
        assert!(parts.iter().all(|part| part.ends_with(b"\n")), "a line is torn");
        let text = String::from_utf8(parts.concat()).expect("UTF-8");
        assert!(text.lines().eq(&lines));
    }

    #[test]
    fn a_thread_that_is_busy_is_not_woken() {
        let (go, wait) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let (writer, thread) = LineWriter::start(Slow(wait, sender), LogFormat::Text).expect("a thread");
        writer.write_line("first");
        go.send(()).expect("the thread");
        let _ = written.recv();
        // It has not slept since, or it has, and the first of these wakes it: the second never does.
        writer.write_line("second");
        assert!(!writer.state().is_asleep);
        writer.write_line("third");
        writer.close();
        drop(go);
        thread.join().expect("it ends");
    }
}
