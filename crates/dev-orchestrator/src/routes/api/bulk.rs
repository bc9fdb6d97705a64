//! Cancelling and retrying many tasks with one request.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::{Desk, body};
use super::listing::statuses;
use super::tasks::{Retried, retried};
use crate::error::Error;
use crate::jobs::Filter;
use crate::refusal::{self, Refusal};

/// The number of ids in a request.
const MAX_IDS: usize = 10_000;

/// The number of tasks that are changed before others have a turn.
const PIECE: usize = 200;

/// The choice of tasks. Of the members that are given, all have to hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    ids: Option<Vec<String>>,
    status: Option<Names>,
    #[serde(rename = "type")]
    name: Option<Names>,
}

/// One name, or a list of names.
struct Names(Vec<String>);

#[derive(Serialize)]
struct Outcome<T> {
    /// The number of tasks that were cancelled or retried.
    count: usize,
    failed: Vec<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<T>>,
}

/// A task that was not cancelled or retried.
#[derive(Serialize)]
struct Failed {
    id: String,
    error: String,
}

/// `POST /api/tasks/cancel`
pub(super) async fn cancel(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let choice = Choice::read(&desk, request).await?;
    let cancel = |id: &str| desk.hub.update(|jobs, now| jobs.cancel(id, now));
    let (cancelled, failed) = choice.apply(&desk, cancel).await?;
    let outcome = Outcome::<()> { count: cancelled.len(), failed, tasks: None };
    Ok(refusal::json(StatusCode::OK, &outcome))
}

/// `POST /api/tasks/retry`
pub(super) async fn retry(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let choice = Choice::read(&desk, request).await?;
    let (tasks, failed): (Vec<Retried>, _) = choice.apply(&desk, |id| retried(&desk, id, None)).await?;
    let outcome = Outcome { count: tasks.len(), failed, tasks: Some(tasks) };
    Ok(refusal::json(StatusCode::OK, &outcome))
}

impl Choice {
    async fn read(desk: &Desk, request: Request) -> Result<Self, Refusal> {
        let body = body::read_submission(request.into_body(), &desk.hub).await?;
        let choice: Self = body::parse(&body, "a choice of tasks")?;
        if choice.ids.is_none() && choice.status.is_none() && choice.name.is_none() {
            let text = "no tasks are chosen: expected `ids`, `status` or `type`";
            return Err(Refusal::bad_request(text));
        }
        if let Some(count) = choice.ids.as_ref().map(Vec::len).filter(|count| *count > MAX_IDS) {
            return Err(Refusal::bad_request(format!(
                "`ids` has {count} entries, expected at most {MAX_IDS}"
            )));
        }
        Ok(choice)
    }

    /// Changes the chosen tasks, the oldest first, or in the order of the ids. Returns the answers, and the tasks that
    /// were not changed.
    async fn apply<T>(
        self,
        desk: &Desk,
        change: impl Fn(&str) -> Result<T, Error>,
    ) -> Result<(Vec<T>, Vec<Failed>), Refusal> {
        let filter = Filter {
            statuses: self.status.map(|names| statuses(names.0.iter().map(String::as_str))).transpose()?,
            names: self.name.map(|names| names.0),
            ..Filter::default()
        };
        let ids = match self.ids {
            Some(ids) => ids,
            None => all(desk, &filter).await,
        };
        let (mut done, mut failed, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for piece in ids.chunks(PIECE) {
            for id in piece {
                match check(desk, &filter, id) {
                    Ok(number) if !seen.insert(number) => {}
                    Ok(_) => match change(id) {
                        Ok(answer) => done.push(answer),
                        Err(error) => failed.push(Failed::new(id, error.to_string())),
                    },
                    Err(problem) => failed.push(Failed::new(id, problem)),
                }
            }
            tokio::task::yield_now().await;
        }
        Ok((done, failed))
    }
}

/// Returns the ids of all tasks that match, the oldest first.
async fn all(desk: &Desk, filter: &Filter) -> Vec<String> {
    let page = desk.hub.page(filter, u64::MAX, usize::MAX).await;
    desk.hub.inspect(|jobs, _| {
        let names = &jobs.store().names;
        page.numbers.iter().rev().map(|number| names.job(*number).as_str().to_owned()).collect()
    })
}

/// Returns the number of the task with this id, if it matches, or the reason why it is not chosen.
fn check(desk: &Desk, filter: &Filter, id: &str) -> Result<u64, String> {
    desk.hub.inspect(|jobs, _| {
        let job = jobs.store().find(id);
        let job = job.ok_or_else(|| Error::UnknownTask(crate::text::cut(id, 200)).to_string())?;
        if filter.admits(job) {
            return Ok(job.number);
        }
        let (job_id, status, name) = (jobs.store().names.job(job.number), job.stage.status(), &job.name);
        Err(format!(
            "`{job_id}` is {status} and has the type `{name}`, expected the chosen `status` and `type`"
        ))
    })
}

impl Failed {
    fn new(id: &str, error: String) -> Self {
        Self { id: crate::text::cut(id, 200), error }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Names, E> {
                Ok(Names(text.split(',').map(str::to_owned).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}
