//! Jobs of a real orchestrator. Its API takes jobs of blueprints, and no single tasks.

use std::time::Duration;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::params::Given;
use super::results::Outcome;
use crate::args::Submit;
use crate::client::{Client, encoded};
use crate::exit::{Exit, Failure};
use crate::json::{self, Compact};
use crate::output::Printer;
use crate::signals::Signals;

/// The time between two looks at a job.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Accepted {
    job_id: String,
}

/// A submitted job, for programs.
#[derive(Serialize)]
struct Job<'a> {
    /// A job has several tasks, of which none is known yet.
    task_id: Option<&'a str>,
    job_id: &'a str,
}

/// A job as far as this program looks into it.
#[derive(Deserialize)]
pub(in crate::commands) struct JobView {
    pub(in crate::commands) status: String,
    #[serde(default)]
    state_history: Option<Box<RawValue>>,
}

impl JobView {
    /// Whether the job has ended.
    pub(in crate::commands) fn is_ended(&self) -> bool {
        matches!(self.status.as_str(), "finished" | "failed" | "quarantined" | "cancelled" | "error")
    }
}

/// Submits jobs.
pub(super) async fn run(
    submit: &Submit,
    given: &Given,
    client: &Client,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let (blueprint, params) = checked(submit, given)?;
    let mut signals = Signals::listen()?;
    let mut exit = Exit::Success;
    for _ in 0..submit.count {
        let path = format!("/api/v1/jobs/{}", encoded(blueprint));
        let Accepted { job_id } = client.post(&path, params.get().to_owned()).await?.read()?;
        if !submit.wait && !submit.watch {
            if printer.is_json() {
                printer.json(&Job { task_id: None, job_id: &job_id })?;
            } else {
                printer.data(&job_id)?;
            }
            continue;
        }
        let job = tokio::select! {
            biased;
            signal = signals.next() => {
                printer.note(format_args!("{job_id} goes on; `avtomatika cancel {job_id}` ends it"));
                return Ok(Exit::Interrupted(signal));
            }
            job = ended(client, &job_id) => job?,
        };
        if !print(&job, &job_id, printer)? {
            exit = Exit::Failure;
        }
    }
    Ok(exit)
}

/// Waits until a job has ended.
pub(in crate::commands) async fn ended(client: &Client, job_id: &str) -> Result<JobView, Failure> {
    loop {
        let job: JobView = client.get(&format!("/api/v1/jobs/{}", encoded(job_id))).await?.read()?;
        if job.is_ended() {
            return Ok(job);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns the blueprint and the data, or what this API does not offer.
fn checked<'a>(submit: &'a Submit, given: &'a Given) -> Result<(&'a str, &'a RawValue), Failure> {
    let refused = |text: &str| Err(Failure::usage(anyhow!("the API of a real orchestrator {text}")));
    let Some(blueprint) = submit.job.as_deref() else {
        return refused("takes jobs of blueprints only, expected `--job NAME` instead of a TYPE");
    };
    if submit.priority.is_some() || submit.timeout.is_some() {
        return refused("takes neither `--priority` nor `--timeout`");
    }
    match given {
        Given::Json(params) => Ok((blueprint, params)),
        Given::Words(_) => refused("is used without schemas and files, expected PARAMS as JSON"),
    }
}

/// Prints a job that has ended. Returns whether it finished.
fn print(job: &JobView, job_id: &str, printer: &Printer) -> anyhow::Result<bool> {
    let is_finished = job.status == "finished";
    if printer.is_json() {
        let data = job.state_history.as_deref().map(Compact);
        printer.json(&Outcome { task_id: None, status: &job.status, data, error: None })?;
    } else if !is_finished {
        printer.error(&anyhow!("{job_id} is {}", job.status));
    } else if let Some(data) = &job.state_history {
        printer.data(json::compact(data.get()))?;
    }
    Ok(is_finished)
}
