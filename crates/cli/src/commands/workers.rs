//! `workers`: a list of the workers.

use crate::args::Global;
use crate::client::{Client, WorkerList};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::output::{Printer, Style};
use crate::table::{Cell, Table, duration};

/// Prints the workers.
pub(crate) async fn run(global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let answer = Client::new(global)?.get("/api/workers").await?;
    if printer.is_json() {
        printer.data(json::compact(answer.raw()?.get()))?;
        return Ok(Exit::Success);
    }
    let WorkerList { workers } = answer.read()?;
    if workers.is_empty() {
        printer.note("no workers");
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["Id", "Type", "Status", "Running", "Polls", "Last heard", "Tasks"]);
    for worker in workers {
        let style = match worker.status.as_str() {
            "idle" => Some(Style::Green),
            "gone" => Some(Style::Red),
            _ => Some(Style::Blue),
        };
        let running = match &worker.slots {
            Some(slots) => match slots.total {
                Some(total) => format!("{} of {total}", slots.used),
                None => slots.used.to_string(),
            },
            None => worker.running.len().to_string(),
        };
        table.add([
            worker.worker_id.into(),
            worker.worker_type.into(),
            Cell::styled(worker.status, style),
            running.into(),
            worker.open_polls.to_string().into(),
            worker.last_heard.map(|seconds| format!("{} ago", duration(seconds))).unwrap_or_default().into(),
            worker.tasks.join(", ").into(),
        ]);
    }
    for line in table.lines(printer.data_paint()) {
        printer.data(line)?;
    }
    Ok(Exit::Success)
}
