//! Choosing jobs by what is known of them. It happens piece by piece: the whole may take longer than scheduling can wait.

use crate::search::{Haystack, Needle};
use crate::store::Job;
use crate::view::TaskStatus;

use super::Jobs;

/// The number of jobs in a piece.
const MAX_JOBS: usize = 2000;

/// The text in a piece, in bytes, after which it ends.
const MAX_TEXT: usize = 1024 * 1024;

/// The number of tries of a job whose ids are searched, the latest ones.
const MAX_TRIES: u32 = 10;

/// The conditions of a choice; all that are given have to hold.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) statuses: Option<Vec<TaskStatus>>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) worker: Option<String>,
    pub(crate) text: Option<Needle>,
}

/// Some of the jobs, the newest first.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Those that are chosen, unless their text does not match.
    pub(crate) rows: Vec<Row>,
    /// Where the next piece begins; `None` after the last one.
    pub(crate) below: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u64,
    /// The texts, if they are to be searched.
    haystack: Option<Haystack>,
}

impl Row {
    pub(crate) fn matches(&self, filter: &Filter) -> bool {
        match (&self.haystack, &filter.text) {
            (Some(haystack), Some(needle)) => haystack.contains(needle),
            _ => true,
        }
    }
}

impl Filter {
    /// Whether a job is chosen, if its text matches.
    pub(crate) fn admits(&self, job: &Job) -> bool {
        let (status, name) = (job.stage.status(), job.name.as_str());
        self.statuses.as_ref().is_none_or(|statuses| statuses.contains(&status))
            && self.names.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name))
            && self
                .worker
                .as_ref()
                .is_none_or(|wanted| job.worker_id.as_ref().is_some_and(|worker| worker.as_str() == wanted))
    }

    /// Whether the statuses decide alone.
    fn has_only_statuses(&self) -> bool {
        self.names.is_none() && self.worker.is_none() && self.text.is_none()
    }
}

impl Jobs {
    /// Looks at the jobs that were submitted before this one, the newest first.
    pub(crate) fn piece(&self, filter: &Filter, below: u64) -> Piece {
        let (mut rows, mut text, mut looked_at) = (Vec::new(), 0, 0);
        for job in self.store.jobs_below(below) {
            looked_at += 1;
            if filter.admits(job) {
                let haystack = filter.text.as_ref().map(|_| self.haystack(job));
                text += haystack.as_ref().map_or(0, Haystack::length);
                rows.push(Row { number: job.number, haystack });
            }
            if looked_at == MAX_JOBS || text > MAX_TEXT {
                return Piece { rows, below: Some(job.number) };
            }
        }
        Piece { rows, below: None }
    }

    /// Returns the number of jobs that are chosen, if it is known without looking at them.
    pub(crate) fn count(&self, filter: &Filter) -> Option<usize> {
        let statuses = filter.statuses.as_deref().unwrap_or(&TaskStatus::ALL);
        let counted = TaskStatus::ALL.into_iter().filter(|status| statuses.contains(status));
        filter.has_only_statuses().then(|| counted.map(|status| self.store.count(status)).sum())
    }

    fn haystack(&self, job: &Job) -> Haystack {
        let names = &self.store.names;
        let first = job.attempt.saturating_sub(MAX_TRIES - 1).max(1);
        Haystack {
            job_id: names.job(job.number),
            task_ids: (first..=job.attempt).map(|attempt| names.task(job.number, attempt)).collect(),
            name: job.name.clone(),
            worker_id: job.worker_id.clone(),
            status: job.stage.status(),
            params: job.params.clone(),
            data: job.payloads.data.clone(),
            error: job.error.clone(),
        }
    }
}
