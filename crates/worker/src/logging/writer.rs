//! The thread that writes the log, so that a slow reader never stops the worker.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer as FieldWriter;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::LogFormat;
use crate::threads::lock;

/// The length of the text that may wait to be written. Further lines are dropped and counted.
const MAX_WAITING: usize = 16 << 20;

/// A buffer that grew beyond this is given back.
const MAX_KEPT: usize = 64 << 10;

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
    waiting: Vec<u8>,
    dropped: usize,
    is_writing: bool,
    is_closed: bool,
}

impl State {
    fn is_written(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing
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

    fn write_all_to(&self, mut output: impl Write) {
        let mut text = Vec::new();
        loop {
            {
                let mut state = self.state();
                state.is_writing = false;
                if state.waiting.is_empty() {
                    self.0.written.notify_all();
                }
                while state.waiting.is_empty() {
                    if state.is_closed {
                        return;
                    }
                    state = self.0.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                state.is_writing = true;
                std::mem::swap(&mut state.waiting, &mut text);
                let dropped = std::mem::take(&mut state.dropped);
                if dropped > 0 {
                    text.extend(missing(dropped, self.0.format).bytes());
                }
            }
            // There is nowhere to report an error to.
            let _ = output.write_all(&text).and_then(|()| output.flush());
            text.clear();
            text.shrink_to(MAX_KEPT);
        }
    }

    /// Waits until every line is written, for at most this long. Returns whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let waited = self.0.written.wait_timeout_while(self.state(), limit, |state| !state.is_written());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_written()
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
            // A text takes everything.
            let _ = SystemTime.format_time(&mut FieldWriter::new(&mut timestamp));
            let line = json!({
                "timestamp": timestamp, "level": "WARN", "message": message, "target": module_path!(),
            });
            format!("{line}\n")
        }
    }
}

impl Write for LineWriter {
    /// Takes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.is_closed || state.waiting.len() + lines.len() > MAX_WAITING {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(lines);
            // While the thread writes, it looks again by itself.
            if !state.is_writing {
                self.0.work.notify_one();
            }
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
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
        let (mut writer, thread) = LineWriter::start(slow, LogFormat::Text).expect("a thread");
        let line = vec![b'x'; MAX_WAITING / 4];
        for _ in 0..10 {
            writer.write_all(&line).expect("taken or dropped");
        }
        assert!(!writer.flush(Duration::from_millis(1)), "it waits no longer");
        writer.close();
        drop(go);
        thread.join().expect("it ends");
        let text: Vec<u8> = written.iter().flatten().collect();
        assert!((4 * line.len()..9 * line.len()).contains(&text.len()));
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
        let (mut writer, thread) = LineWriter::start(slow, LogFormat::Text).expect("a thread");
        drop(go);
        for number in 0..100 {
            writeln!(writer, "{number}").expect("taken");
            assert!(writer.flush(Duration::from_secs(60)));
            let text: Vec<u8> = written.try_iter().flatten().collect();
            assert_eq!(String::from_utf8_lossy(&text), format!("{number}\n"));
        }
        writer.close();
        thread.join().expect("it ends");
    }
}
