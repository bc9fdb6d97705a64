//! `logs`: the log of a task.

use std::time::Duration;

use rxon::text::one_line;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::args::{Global, Logs};
use crate::client::{Client, LogLine, LogPage, TaskView, encoded, resolve};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::output::{Printer, Style};
use crate::signals::Signals;
use crate::table::time_of_day;

/// The time between two looks for new lines.
const INTERVAL: Duration = Duration::from_millis(250);

/// Prints the log of a task; with `--follow`, until the task has ended.
pub(crate) async fn run(logs: &Logs, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let client = Client::new(global)?;
    if !logs.follow {
        let id = resolve(&client, &logs.id).await?;
        print_new(&client, &id, None, printer).await?;
        return Ok(Exit::Success);
    }
    let mut signals = Signals::listen()?;
    tokio::select! {
        biased;
        signal = signals.next() => Ok(Exit::Interrupted(signal)),
        followed = follow(&client, &logs.id, printer) => followed,
        closed = printer.closed() => Err(closed.into()),
    }
}

async fn follow(client: &Client, id: &str, printer: &Printer) -> Result<Exit, Failure> {
    let id = resolve(client, id).await?;
    let mut after = None;
    loop {
        // The look at the task comes first: when it has ended, all of its lines are there.
        let task: TaskView = client.get(&format!("/api/tasks/{}", encoded(&id))).await?.read()?;
        let last = print_new(client, &id, after, printer).await?;
        if task.is_ended() {
            return Ok(Exit::Success);
        }
        after = last;
        sleep(INTERVAL).await;
    }
}

/// Prints the lines after a number, and returns the number of the last one.
async fn print_new(
    client: &Client,
    id: &str,
    mut after: Option<u64>,
    printer: &Printer,
) -> Result<Option<u64>, Failure> {
    loop {
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        let page: LogPage = client.get(&format!("/api/tasks/{}/logs{query}", encoded(id))).await?.read()?;
        if page.dropped > 0 && after.is_none() {
            printer.note(format_args!("{} older lines were removed", page.dropped));
        }
        let mut last = None;
        for raw in &page.lines {
            last = print_line(raw, printer)?.max(last);
        }
        let next = page.next.or(last).max(after);
        // A page may be cut; an empty one, or one that leads nowhere, is the last.
        if page.lines.is_empty() || next == after {
            return Ok(next);
        }
        after = next;
    }
}

fn print_line(raw: &RawValue, printer: &Printer) -> Result<Option<u64>, Failure> {
    let line: LogLine = serde_json::from_str(raw.get()).unwrap_or_default();
    if printer.is_json() {
        printer.data(json::compact(raw.get()))?;
        return Ok(Some(line.n));
    }
    let paint = printer.data_paint();
    let level = line.level.as_deref().unwrap_or_default();
    let style = match level.to_ascii_uppercase().as_str() {
        "ERROR" | "CRITICAL" => Style::Red,
        "WARN" | "WARNING" => Style::Yellow,
        _ => Style::Blue,
    };
    let time = paint.apply(Style::Dim, time_of_day(line.at));
    let text = one_line(&line.text);
    if level.is_empty() {
        printer.data(format_args!("{time} {text}"))?;
    } else {
        printer.data(format_args!("{time} {} {text}", paint.apply(style, one_line(level))))?;
    }
    Ok(Some(line.n))
}
