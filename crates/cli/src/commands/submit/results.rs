//! The results of submitted tasks.

use serde::Serialize;

use crate::client::{Client, TaskView};
use crate::commands::waiting;
use crate::exit::{Exit, Failure};
use crate::json::{self, Compact};
use crate::output::Printer;

/// The result of a task, for programs.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    pub(super) task_id: Option<&'a str>,
    pub(super) status: &'a str,
    pub(super) data: Option<Compact<'a>>,
    pub(super) error: Option<Compact<'a>>,
}

/// Waits for tasks, and prints their results in the order of their submission.
pub(super) async fn print(
    client: &Client,
    jobs: &[String],
    shows_progress: bool,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    waiting::until_ended(client, jobs, shows_progress, printer, |task| {
        if !print_one(&task, jobs.len() > 1, printer)? {
            exit = Exit::Failure;
        }
        Ok(())
    })
    .await?;
    Ok(exit)
}

/// Prints a result. Returns whether the task finished.
fn print_one(task: &TaskView, is_one_of_several: bool, printer: &Printer) -> anyhow::Result<bool> {
    let is_finished = task.status == "finished";
    if printer.is_json() {
        let (data, error) = (task.data.as_deref().map(Compact), task.error.as_deref().map(Compact));
        printer.json(&Outcome { task_id: Some(&task.task_id), status: &task.status, data, error })?;
        return Ok(is_finished);
    }
    if !is_finished {
        printer.error(&waiting::reason(task, is_one_of_several));
        return Ok(false);
    }
    match &task.data {
        Some(data) if is_one_of_several => printer.data(json::compact(data.get()))?,
        Some(data) => printer.data(data.get())?,
        // One line for each.
        None if is_one_of_several => printer.data("null")?,
        None => {}
    }
    Ok(true)
}
