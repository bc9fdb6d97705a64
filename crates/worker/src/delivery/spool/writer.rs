//! The thread that writes the file.
//!
//! | state | event | next |
//! |---|---|---|
//! | well | a change that a caller waits for | one commit for all changes so far; well, or in trouble if it fails |
//! | well | a change that nobody waits for | it goes into the next commit, or into one of its own after a moment |
//! | well | a commit takes too long | in trouble: no caller waits for it any more |
//! | well | the file is not the one behind its name any more | in trouble, and at once opened anew: everything is written again |
//! | well | nothing is left in a large file | the file gives its room back; well, also if it cannot |
//! | in trouble | some time has passed | the file is opened anew and updated; well, or still in trouble |
//! | any | closed | the remaining changes are written, and the thread ends |

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deaths;
use super::error::SpoolError;
use super::file::ResultFile;
use super::ledger::{Batch, Contents, Held, Ledger};
use super::paths::{Identity, Lock, SpoolPaths, note};
use super::rejected;
use super::shared::{LOOK_AFTER, Work, WriterShared, pause_after};
use crate::delivery::record::{Key, Record, unix_millis};
use crate::threads::hook::caught;
use crate::threads::memory::give_back;

/// The interval at which a failed disk is tried again.
const REOPEN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });

/// The time between two new files in the place of lost ones.
const BETWEEN_LOSSES: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1_000 });

/// The size of the file in bytes up to which it gives no room back.
const MAX_EMPTY_FILE: u64 = 16 << 20;

/// The size of results in bytes up to which the file is empty enough: giving room back takes time for the rest.
const MAX_REST: usize = 4 << 20;

/// The problem with a file that is not the one behind its name any more.
const LOST: &str =
    "the file was removed, renamed or replaced while the worker runs: everything is written to a new one";

/// The open file.
#[derive(Debug)]
struct OpenFile {
    file: ResultFile,
    identity: Identity,
}

/// Writes the file, on a thread of its own.
#[derive(Debug)]
pub(super) struct Writer {
    /// Held until the end.
    lock: Lock,
    /// The file, or the time of the next try to open it while the disk is in trouble.
    file: Result<OpenFile, Instant>,
    /// A number by which the file knows this process.
    process: u64,
    /// When the file was last looked for.
    looked: Instant,
    /// When the file was last lost.
    lost: Option<Instant>,
    /// When the file may give its room back again, after it could not.
    renew_at: Option<Instant>,
    shared: Arc<WriterShared>,
}

impl Writer {
    /// Locks the files. Returns the results in them, among them the failures of tasks that died.
    pub(super) fn open(shared: Arc<WriterShared>) -> Result<(Self, Vec<(Key, Record)>), SpoolError> {
        let (lock, noted) = shared.paths.take()?;
        let process = fastrand::u64(..);
        let (mut open, contents) = open_or_set_aside(&shared.paths, process)?;
        if (1..noted).contains(&contents.commits) {
            tracing::error!(
                file = %shared.paths.results().display(), lacks = noted - contents.commits,
                "the file of results lacks its last writes: it was damaged, or replaced by an earlier one; results that \
                 were finished last may be reported as crashes, or sent again"
            );
        }
        let mut ledger = Ledger::new(contents);
        let (dead, finally) = deaths::bury(&mut ledger, &shared.paths.worker_id, unix_millis());
        let batch = ledger.take();
        open.file.apply(&batch).map_err(|problem| SpoolError::File { source: problem.into() })?;
        note(&lock.file, open.file.commits);
        ledger.set_written(&batch);
        if dead > 0 {
            tracing::warn!(
                tasks = dead,
                given_up = finally,
                "tasks died with the process that ran them: they are reported as failed"
            );
        }
        let results = ledger.results.rows.iter().filter_map(|(key, held)| match held {
            Held::Here(record) => Some((*key, record.clone())),
            Held::InFile => None,
        });
        let results = results.collect();
        shared.lock().ledger = ledger;
        let (file, looked) = (Ok(open), Instant::now());
        Ok((Self { lock, file, process, looked, lost: None, renew_at: None, shared }, results))
    }

    /// Writes until it is closed and everything that can be written is written.
    pub(super) fn run(mut self) {
        let _fails = FailsOnPanic(self.shared.clone());
        let mut is_last = false;
        let mut resumes_at = Instant::now();
        loop {
            match self.shared.next(self.file.as_ref().err().copied(), resumes_at) {
                Some(Work::Write(batch, waiters)) => {
                    let callers = waiters.len();
                    if self.write(batch) {
                        for waiter in waiters {
                            // The caller may have given up.
                            let _ = waiter.send(());
                        }
                        resumes_at = Instant::now() + pause_after(callers);
                    }
                    // Where there is always something to write.
                    if self.looked.elapsed() >= 10 * LOOK_AFTER {
                        self.look();
                    }
                }
                Some(Work::Look) => self.look(),
                Some(Work::Reopen) => {
                    if !self.reopen() && self.shared.lock().is_closed {
                        break;
                    }
                }
                None if is_last || self.is_in_place() || self.shared.lock().ledger.is_empty() => break,
                None => {
                    is_last = true;
                    self.on_lost();
                }
            }
        }
        self.end();
    }

    fn write(&mut self, mut batch: Batch) -> bool {
        let Ok(open) = &mut self.file else { return false };
        let rejected =
            rejected::append(&self.shared.paths, &batch.rejected).map_err(|error| error.to_string());
        if rejected.is_ok() {
            batch.rejected.clear();
        }
        match rejected.and_then(|()| open.file.apply(&batch)) {
            // A file without its name does not survive the process, however well it is written.
            Ok(()) if self.is_in_place() => {
                self.note_commits();
                self.shared.set_written(&batch);
                true
            }
            Ok(()) => {
                self.shared.lock().ledger.put_back(batch);
                self.on_lost();
                false
            }
            Err(problem) => {
                self.shared.lock().ledger.put_back(batch);
                if self.is_in_place() {
                    self.give_up(&problem);
                } else {
                    self.on_lost();
                }
                false
            }
        }
    }

    fn note_commits(&self) {
        if let Ok(open) = &self.file {
            note(&self.lock.file, open.file.commits);
        }
    }

    /// Whether the file and the lock are the ones behind their names, or the disk is in trouble anyway.
    fn is_in_place(&self) -> bool {
        let Ok(open) = &self.file else { return true };
        let paths = &self.shared.paths;
        let is_there = paths.results_now().is_ok_and(|(identity, _)| identity == open.identity);
        is_there && paths.is_lock_file(&self.lock.file)
    }

    /// Looks whether the file is still there, and lets an empty one give its room back.
    fn look(&mut self) {
        self.looked = Instant::now();
        if !self.is_in_place() {
            return self.on_lost();
        }
        let is_large = self.shared.paths.results_now().is_ok_and(|(_, size)| size > MAX_EMPTY_FILE);
        let is_empty = || {
            let state = self.shared.lock();
            state.ledger.bytes() <= MAX_REST && !state.ledger.relies_on_file()
        };
        let is_due = self.renew_at.is_none_or(|at| at <= self.looked);
        if is_large
            && is_due
            && is_empty()
            && let Err(problem) = self.renew()
        {
            // The old file is still whole, and everything is in it.
            self.renew_at = Some(self.looked + REOPEN_AFTER);
            self.shared.paths.remove_new_results();
            tracing::debug!(
                file = %self.shared.paths.results().display(), problem,
                "the file of results stays large: a new one cannot be made"
            );
        }
    }

    /// Puts a new file in the place of one that holds much room for nothing. There is a whole file at every moment.
    fn renew(&mut self) -> Result<(), String> {
        if self.file.is_err() {
            return Ok(());
        }
        let paths = &self.shared.paths;
        let as_text = |error: std::io::Error| error.to_string();
        let aside = paths.make_new_results().map_err(as_text)?;
        let (mut file, _) = ResultFile::open(&aside, self.process).map_err(|error| with_source(&error))?;
        let rows = self.shared.lock().ledger.rows();
        file.apply(&rows)?;
        // Before the new file has its name: a number below the file's is no loss, one above it is.
        note(&self.lock.file, file.commits);
        std::fs::rename(&aside, paths.results()).map_err(as_text)?;
        paths.sync();
        let (identity, _) = paths.results_now().map_err(as_text)?;
        let old = std::mem::replace(&mut self.file, Ok(OpenFile { file, identity }));
        let _ = caught(|| drop(old));
        // The results that made the file large were in memory, too.
        give_back();
        Ok(())
    }

    /// Prepares for a new file. A second loss right after the first has to wait a moment.
    fn on_lost(&mut self) {
        if let Ok(open) = &self.file {
            let needs_old = self.shared.lock().ledger.relies_on_file();
            let old = if needs_old { open.file.contents().unwrap_or_default() } else { Contents::default() };
            self.shared.lock().ledger.on_file_lost(&old);
        }
        self.give_up(LOST);
        let now = Instant::now();
        let earliest = self.lost.map_or(now, |lost| lost + BETWEEN_LOSSES);
        self.lost = Some(now.max(earliest));
        self.file = Err(now.max(earliest));
    }

    fn give_up(&mut self, problem: &str) {
        self.shared.fail(problem);
        let file = std::mem::replace(&mut self.file, Err(Instant::now() + REOPEN_AFTER));
        // After an error the file cannot be used, and a panic while it is closed is not worth a line.
        let _ = caught(|| drop(file));
    }

    fn reopen(&mut self) -> bool {
        match self.open_again() {
            Ok((open, mut contents)) => {
                self.file = Ok(open);
                let (batch, adopted) = {
                    let ledger = &mut self.shared.lock().ledger;
                    let adopted = if contents.is_own { 0 } else { ledger.adopt(&mut contents) };
                    (ledger.difference(&contents), adopted)
                };
                if adopted > 0 {
                    tracing::warn!(
                        file = %self.shared.paths.results().display(), results = adopted,
                        "the new file had results of another process: they are left in it, for the next start"
                    );
                }
                self.write(batch)
            }
            Err(error) => {
                self.give_up(&with_source(&error));
                false
            }
        }
    }

    fn open_again(&mut self) -> Result<(OpenFile, Contents), SpoolError> {
        if !self.shared.paths.is_lock_file(&self.lock.file) {
            (self.lock, _) = self.shared.paths.take()?;
        }
        open_or_set_aside(&self.shared.paths, self.process)
    }

    fn end(self) {
        let is_whole = self.file.is_ok() && self.is_in_place();
        let Self { lock, file, shared, .. } = self;
        let state = shared.lock();
        let (unwritten, is_empty) = (state.ledger.unwritten.len(), state.ledger.is_empty());
        drop(state);
        let _ = caught(|| drop(file));
        if unwritten > 0 {
            tracing::error!(results = unwritten, "results could not be written to disk");
        }
        if is_empty && is_whole {
            shared.paths.clear(lock);
        }
    }
}

/// Stops all waiting if the thread panics.
struct FailsOnPanic(Arc<WriterShared>);

impl Drop for FailsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the thread that writes them died");
        }
    }
}

/// Opens the file. A damaged file is moved aside, and a new one begun.
fn open_or_set_aside(paths: &SpoolPaths, process: u64) -> Result<(OpenFile, Contents), SpoolError> {
    let path = paths.results();
    let open = || {
        paths.make_results().map_err(|source| SpoolError::Folder { source })?;
        ResultFile::open(&path, process)
    };
    let opened = match open() {
        Err(SpoolError::Damaged { source: problem }) => {
            let aside = paths.set_aside().map_err(|source| SpoolError::Folder { source })?;
            tracing::error!(
                file = %path.display(), aside = %aside.display(), problem = problem.to_string(),
                "the file of results is damaged: it was moved aside, and the results in it are not sent"
            );
            open()?
        }
        opened => opened?,
    };
    paths.sync();
    let (file, contents) = opened;
    let (identity, _) = paths.results_now().map_err(|source| SpoolError::Folder { source })?;
    Ok((OpenFile { file, identity }, contents))
}

fn with_source(error: &SpoolError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
