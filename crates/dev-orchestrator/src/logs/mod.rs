//! Log lines of tasks and workers.

mod book;
mod kept;
mod line;

use std::sync::{Arc, Mutex, PoisonError};

use rxon::JobId;
use serde::{Deserialize, Serialize, Serializer};

use self::book::{Book, Owner};
pub(crate) use self::book::{LogPage, MAX_LINES};
pub(crate) use self::kept::KeptLines;
pub(crate) use self::line::{NewLine, cut_fields, cut_text};
use crate::clock::Now;
use crate::hub::Hub;

/// The source of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogSource {
    /// The standard output of a worker.
    Stdout,
    /// The standard error of a worker.
    Stderr,
    /// OpenTelemetry.
    Otlp,
}

impl LogSource {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Otlp => "otlp",
        }
    }
}

impl Serialize for LogSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The kept lines.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<Book>);

/// An event of the live feed. A line is found under its name, and its members beside the job, as in the list of the
/// task's lines.
#[derive(Serialize)]
struct LineEvent<'a> {
    job_id: Option<JobId>,
    line: &'a line::Line,
    #[serde(flatten)]
    members: &'a line::Line,
}

impl Hub {
    /// Keeps a line: for the task that it belongs to, else for its worker. Tells the live readers.
    pub(crate) fn log(&self, line: NewLine) {
        let task = line.task_id.as_deref().and_then(|id| {
            self.inspect(|jobs, _| {
                let job = jobs.store().find(id)?;
                Some((jobs.store().names.job(job.number), job.worker_id.clone()))
            })
        });
        let (job_id, running_at) = task.unzip();
        let worker_id = match (line.worker_id.as_str(), running_at.flatten()) {
            ("", Some(worker)) => worker.as_str().to_owned(),
            ("", None) => "unknown".to_owned(),
            (worker, _) => worker.to_owned(),
        };
        let owner = match &job_id {
            Some(job_id) => Owner::Job(job_id.clone()),
            None => Owner::Worker(worker_id.clone()),
        };
        // Under the lock, so that the events are in the order of the lines.
        let mut book = self.logs.lock();
        let line = book.add(&owner, line, worker_id, Now::read().unix);
        if let Some(keeper) = &self.keeper {
            kept::hand_over(&mut book, keeper, &owner, &line);
        }
        self.live.log(&LineEvent { job_id, line: &line, members: &line });
    }

    /// Returns the lines of a task after the line `after`; `None` if the task is unknown.
    pub(crate) fn log_of_task(&self, id: &str, after: u64, limit: usize) -> Option<LogPage> {
        let job_id =
            self.inspect(|jobs, _| jobs.store().find(id).map(|job| jobs.store().names.job(job.number)));
        Some(
            self.logs
                .lock()
                .lines(&Owner::Job(job_id?), after, limit)
                .unwrap_or_else(|| LogPage::none(after)),
        )
    }

    /// Returns the lines of a worker that belong to no task; `None` if there were never any, and the worker is unknown.
    pub(crate) fn log_of_worker(&self, id: &str, after: u64, limit: usize) -> Option<LogPage> {
        let lines = self.logs.lock().lines(&Owner::Worker(id.to_owned()), after, limit);
        let is_known =
            || self.inspect(|jobs, _| jobs.store().workers.keys().any(|known| known.as_str() == id));
        lines.or_else(|| is_known().then(|| LogPage::none(after)))
    }
}

impl Logs {
    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that is kept once and shown to many.
pub(crate) type SharedLine = Arc<line::Line>;
