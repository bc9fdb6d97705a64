//! `tasks`: a list of tasks.

use crate::args::{Global, Tasks};
use crate::client::{Client, ErrorView, TaskList, TaskView, encoded};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::output::{Printer, Style};
use crate::table::{Cell, Table, duration, now};

/// Prints the tasks that match.
pub(crate) async fn run(tasks: &Tasks, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let answer = Client::new(global)?.get(&path(tasks)).await?;
    if printer.is_json() {
        printer.data(json::compact(answer.raw()?.get()))?;
        return Ok(Exit::Success);
    }
    let list: TaskList = answer.read()?;
    print(&list, printer)?;
    let shown = list.tasks.len() as u64;
    if shown < list.total {
        let more =
            list.next.map(|next| format!(", `--before {next}` shows the next ones")).unwrap_or_default();
        printer.note(format_args!("{shown} of {} tasks{more}", list.total));
    }
    Ok(Exit::Success)
}

fn path(tasks: &Tasks) -> String {
    let limit = tasks.limit.map(|limit| limit.to_string());
    let query = [
        ("status", &tasks.status),
        ("type", &tasks.name),
        ("worker", &tasks.worker),
        ("q", &tasks.query),
        ("limit", &limit),
        ("before", &tasks.before),
    ];
    let query =
        query.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_deref()?))));
    let query = query.collect::<Vec<_>>().join("&");
    if query.is_empty() { "/api/tasks".to_owned() } else { format!("/api/tasks?{query}") }
}

fn print(list: &TaskList, printer: &Printer) -> anyhow::Result<()> {
    if list.tasks.is_empty() {
        printer.note("no tasks");
        return Ok(());
    }
    let mut table = Table::new(&["Id", "Type", "Status", "Worker", "Progress", "Age", "Duration", "Error"]);
    let now = now();
    for task in &list.tasks {
        table.add(row(task, now));
    }
    for line in table.lines(printer.data_paint()) {
        printer.data(line)?;
    }
    Ok(())
}

fn row(task: &TaskView, now: f64) -> [Cell; 8] {
    let progress = task.progress.map(|progress| format!("{:.0}%", progress.clamp(0.0, 1.0) * 100.0));
    let age = task.submitted_at.map(|at| duration(now - at));
    let took = task.duration(now).map(duration);
    let error = task.failure().map(|ErrorView { code, message }| format!("{code}: {message}"));
    [
        task.job_id.as_str().into(),
        task.name.as_str().into(),
        Cell::styled(task.status.as_str(), Style::of_status(&task.status)),
        task.worker_id.clone().unwrap_or_default().into(),
        progress.unwrap_or_default().into(),
        age.unwrap_or_default().into(),
        took.unwrap_or_default().into(),
        error.map(|error| rxon::text::excerpt_within(error, 60)).unwrap_or_default().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_asked_for() {
        let tasks = |query: Option<&str>, limit| Tasks {
            status: None,
            name: None,
            worker: None,
            query: query.map(str::to_owned),
            limit,
            before: None,
        };
        assert_eq!(path(&tasks(None, None)), "/api/tasks");
        assert_eq!(path(&tasks(Some("a&b c"), Some(5))), "/api/tasks?q=a%26b%20c&limit=5");
    }
}
