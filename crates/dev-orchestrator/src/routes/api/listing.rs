//! Lists of tasks.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use rxon::JobId;
use serde::{Deserialize, Serialize};

use super::super::Desk;
use crate::jobs::Filter;
use crate::refusal::{self, Refusal};
use crate::search::Needle;
use crate::view::{TaskStatus, TaskView};

/// The number of tasks on a page, unless it is chosen.
const DEFAULT_LIMIT: usize = 100;

/// The largest number of tasks on a page.
const MAX_LIMIT: usize = 1000;

/// The query of a list. An empty value counts as absent: forms send all of their fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    status: Option<String>,
    #[serde(rename = "type")]
    name: Option<String>,
    worker: Option<String>,
    q: Option<String>,
    before: Option<String>,
    limit: Option<String>,
}

/// Some of the tasks, the newest first.
#[derive(Serialize)]
struct TaskList {
    tasks: Vec<TaskView>,
    /// The number of all tasks that match.
    total: usize,
    /// The value of `before` for the following page.
    next: Option<JobId>,
}

/// `GET /api/tasks`
pub(super) async fn tasks(
    State(desk): State<Arc<Desk>>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(selection) = selection?;
    let (filter, limit) = (selection.filter()?, selection.limit()?);
    let before = selection.before(&desk)?;
    let page = desk.hub.page(&filter, before, limit).await;
    let list = desk.hub.inspect(|jobs, _| {
        let store = jobs.store();
        let found = page.numbers.iter().filter_map(|number| store.job(*number));
        let next = page.numbers.last().filter(|_| page.has_more).map(|number| store.names.job(*number));
        let tasks = found.map(|job| store.view(job).without_payloads()).collect();
        TaskList { tasks, total: page.total, next }
    });
    Ok(refusal::json(StatusCode::OK, &list))
}

impl Selection {
    fn filter(&self) -> Result<Filter, Refusal> {
        Ok(Filter {
            statuses: given(&self.status).map(|text| statuses(text.split(','))).transpose()?,
            names: given(&self.name).map(|text| text.split(',').map(str::to_owned).collect()),
            worker: given(&self.worker).map(str::to_owned),
            text: given(&self.q).map(Needle::new),
        })
    }

    fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = given(&self.limit) else { return Ok(DEFAULT_LIMIT) };
        text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
            let shown = crate::text::cut(text, 80);
            Refusal::bad_request(format!("`limit` is `{shown}`, expected a number from 1 to {MAX_LIMIT}"))
        })
    }

    /// Returns the number of the job before which the page begins.
    fn before(&self, desk: &Desk) -> Result<u64, Refusal> {
        let Some(text) = given(&self.before) else { return Ok(u64::MAX) };
        desk.hub.inspect(|jobs, _| jobs.store().names.read_job(text)).ok_or_else(|| {
            let shown = crate::text::cut(text, 200);
            Refusal::bad_request(format!("`before` is `{shown}`, expected the `next` of the page before"))
        })
    }
}

#[expect(clippy::ref_option, reason = "it is called with fields")]
fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

/// Reads the names of statuses.
pub(super) fn statuses<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<TaskStatus>, Refusal> {
    let statuses = names.map(TaskStatus::from_str).collect::<Result<_, _>>();
    statuses.map_err(|error| Refusal::bad_request(format!("`status`: {error}")))
}
