//! Pages of tasks. All tasks are looked at piece by piece, so that scheduling never waits for a search.

use crate::hub::Hub;
use crate::jobs::{Filter, Piece};

/// A page of tasks, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The numbers of the jobs.
    pub(crate) numbers: Vec<u64>,
    /// The number of tasks that match, on all pages.
    pub(crate) total: usize,
    /// Whether older tasks match, too.
    pub(crate) has_more: bool,
}

impl Hub {
    /// Returns the newest `limit` of the matching tasks that were submitted before the job `before`. Jobs are numbered
    /// in the order of their arrival; therefore tasks that arrive between two pages change nothing on the second one.
    pub(crate) async fn page(&self, filter: &Filter, before: u64, limit: usize) -> Page {
        let known = self.inspect(|jobs, _| jobs.count(filter));
        let mut page = Page::default();
        let mut below = if known.is_some() { before } else { u64::MAX };
        loop {
            let Piece { rows, below: next } = self.inspect(|jobs, _| jobs.piece(filter, below));
            for row in rows.iter().filter(|row| row.matches(filter)) {
                page.total += 1;
                if row.number >= before {
                    continue;
                }
                if page.numbers.len() < limit {
                    page.numbers.push(row.number);
                } else {
                    page.has_more = true;
                }
            }
            let is_counted = known.is_some() && page.has_more;
            match next.filter(|_| !is_counted) {
                Some(next) => below = next,
                None => break,
            }
            tokio::task::yield_now().await;
        }
        page.total = known.unwrap_or(page.total);
        page
    }
}
