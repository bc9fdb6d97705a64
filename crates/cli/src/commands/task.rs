//! `task`: everything about one task.

use crate::args::{Global, Task};
use crate::client::{Client, ErrorView, JobView, StepView, TaskView, TryView, encoded, resolve};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::output::{Printer, Style};
use crate::table::{Cell, Table, duration, now};

/// Prints a task.
pub(crate) async fn run(task: &Task, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let client = Client::new(global)?.with_token(task.access.client_token.as_deref())?;
    if client.has_token() {
        let answer = client.get(&format!("/api/v1/jobs/{}", encoded(&task.id))).await?;
        // The job of a real orchestrator is shown as it is: its blueprint decides what is in it.
        printer.data(json::compact(answer.raw()?.get()))?;
        return Ok(Exit::Success);
    }
    let id = resolve(&client, &task.id).await?;
    let answer = client.get(&format!("/api/tasks/{}", encoded(&id))).await?;
    if printer.is_json() {
        printer.data(json::compact(answer.raw()?.get()))?;
    } else {
        print(&answer.read()?, printer)?;
    }
    Ok(Exit::Success)
}

fn print(task: &TaskView, printer: &Printer) -> anyhow::Result<()> {
    let now = now();
    let ago = |at: f64| format!("{} ago", duration(now - at));
    let status = match task.result_status.as_deref() {
        Some(status) if status != "success" && status != task.status => format!("{} ({status})", task.status),
        _ => task.status.clone(),
    };
    let progress = task.progress.map(|progress| {
        let message = task.progress_message.as_deref().unwrap_or_default();
        format!("{:.0}% {message}", progress.clamp(0.0, 1.0) * 100.0).trim_end().to_owned()
    });
    let attempts = (task.attempts > 1).then(|| task.attempts.to_string());
    let error = task.failure().map(|ErrorView { code, message }| format!("{code}: {message}"));
    let retried = (!task.retried_as.is_empty()).then(|| task.retried_as.join(", "));
    let mut table = Table::new(&[task.name.as_str(), task.job_id.as_str()]);
    for (name, value) in [
        ("task id", Some(task.task_id.clone())),
        ("status", Some(status)),
        ("worker", task.worker_id.clone()),
        ("progress", progress),
        ("attempts", attempts),
        ("submitted", task.submitted_at.map(ago)),
        ("duration", task.duration(now).map(duration)),
        ("job", task.job.as_ref().map(way)),
        ("retry of", task.of.clone()),
        ("retried as", retried),
        ("params", task.params.as_ref().map(|params| json::compact(params.get()))),
        ("data", task.data.as_ref().map(|data| json::compact(data.get()))),
        ("error", error),
    ] {
        let Some(value) = value else { continue };
        let style = if name == "status" { Style::of_status(&task.status) } else { None };
        table.add([Cell::styled(name, Some(Style::Dim)), Cell::styled(value, style)]);
    }
    for (number, tried) in task.tries.iter().flatten().enumerate() {
        table.add([Cell::styled(format!("try {}", number + 1), Some(Style::Dim)), sentence(tried).into()]);
    }
    for line in table.lines(printer.data_paint()) {
        printer.data(line)?;
    }
    Ok(())
}

/// Returns the blueprint of a job, and the steps with their statuses.
fn way(job: &JobView) -> String {
    let steps: Vec<String> =
        job.path.iter().map(|StepView { state, status }| format!("{state} ({status})")).collect();
    format!("{}: {}", job.name, steps.join(", "))
}

/// Returns where a try ran, and how it ended.
fn sentence(tried: &TryView) -> String {
    let TryView { worker_id, status, error } = tried;
    let mut text = status.as_deref().unwrap_or("ended").to_owned();
    if let Some(worker) = worker_id {
        text = format!("{text} on {worker}");
    }
    match error {
        Some(ErrorView { code, message }) => format!("{text}: {code}: {message}"),
        None => text,
    }
}
