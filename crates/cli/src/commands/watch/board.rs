//! The live view: a bar for each task that runs, and a line for each that has ended.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use rxon::text::{excerpt_within, one_line};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{ErrorView, Event, TaskView};
use crate::output::{Paint, Printer, Style};
use crate::progress;
use crate::table::{duration, now};

/// The number of bars at once; more would not fit into most terminals.
const MAX_BARS: usize = 20;

/// The number of ended tasks that are remembered, so that none has two lines.
const MAX_ENDED: usize = 20_000;

/// What runs, and what has ended.
#[derive(Debug)]
pub(super) struct Board<'a> {
    printer: &'a Printer,
    bars: Option<MultiProgress>,
    /// The tasks that have not ended, with their bars.
    open: HashMap<String, Option<ProgressBar>>,
    ended: HashSet<String>,
    /// Whether the first snapshot has come: what ended before it is no news.
    has_begun: bool,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(default)]
    tasks: Vec<TaskView>,
}

#[derive(Deserialize)]
struct ProgressEvent {
    job_id: String,
    progress: f64,
    #[serde(default)]
    message: Option<String>,
}

impl<'a> Board<'a> {
    /// Makes an empty view.
    pub(super) fn new(printer: &'a Printer) -> Self {
        let bars = printer
            .redraws()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15)));
        Self { printer, bars, open: HashMap::new(), ended: HashSet::new(), has_begun: false }
    }

    /// Shows an event. What cannot be read, and what is not about tasks, is left out.
    pub(super) fn show(&mut self, event: &Event) -> anyhow::Result<()> {
        match event.name.as_str() {
            "snapshot" => {
                let Ok(Snapshot { tasks }) = serde_json::from_str(&event.data) else { return Ok(()) };
                // The newest comes first, and is to be the last line.
                for task in tasks.into_iter().rev() {
                    self.task(&task)?;
                }
                self.has_begun = true;
            }
            "task" => {
                if let Ok(task) = serde_json::from_str(&event.data) {
                    self.task(&task)?;
                }
            }
            "progress" => {
                if let Ok(progress) = serde_json::from_str(&event.data) {
                    self.progress(&progress);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Says something beside the bars.
    pub(super) fn note(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.printer.note(text)),
            None => self.printer.note(text),
        }
    }

    fn task(&mut self, task: &TaskView) -> anyhow::Result<()> {
        if task.is_ended() {
            return self.end(task);
        }
        // A retry of the server's, or a name that was used before a restart.
        self.ended.remove(&task.job_id);
        let shows = task.status == "running" && self.open.values().flatten().count() < MAX_BARS;
        let entry = self.open.entry(task.job_id.clone()).or_default();
        if entry.is_none() && shows {
            let name = format!("{} {}", one_line(&task.name), one_line(&task.job_id));
            *entry = self.bars.as_ref().map(|bars| bars.add(progress::bar(&name)));
        }
        if let Some(bar) = entry {
            bar.set_position(percent(task.progress.unwrap_or_default()));
        }
        Ok(())
    }

    fn end(&mut self, task: &TaskView) -> anyhow::Result<()> {
        let was_open = match self.open.remove(&task.job_id) {
            Some(bar) => {
                if let (Some(bar), Some(bars)) = (bar, &self.bars) {
                    bar.finish_and_clear();
                    bars.remove(&bar);
                }
                true
            }
            None => false,
        };
        if self.ended.len() >= MAX_ENDED {
            self.ended.clear();
        }
        let is_new = self.ended.insert(task.job_id.clone());
        if !is_new || !(was_open || self.has_begun) {
            return Ok(());
        }
        let line = line(task, self.printer.data_paint());
        match &self.bars {
            Some(bars) => bars.suspend(|| self.printer.data(line)),
            None => self.printer.data(line),
        }
    }

    fn progress(&mut self, event: &ProgressEvent) {
        if let Some(Some(bar)) = self.open.get(&event.job_id) {
            bar.set_position(percent(event.progress));
            bar.set_message(one_line(event.message.as_deref().unwrap_or_default()).into_owned());
        }
    }
}

fn percent(progress: f64) -> u64 {
    (progress.clamp(0.0, 1.0) * 100.0).round() as u64
}

/// Returns the line of a task that has ended.
pub(super) fn line(task: &TaskView, paint: Paint) -> String {
    let TaskView { status, name, job_id, .. } = task;
    let padded = format!("{status:11}");
    let status = match Style::of_status(status) {
        Some(style) => paint.apply(style, padded).to_string(),
        None => padded,
    };
    let mut line = format!("{status}  {}  {}", one_line(name), one_line(job_id));
    if let Some(worker) = &task.worker_id {
        let _ = write!(line, "  on {}", one_line(worker));
    }
    if let Some(took) = task.duration(now()) {
        let _ = write!(line, "  {}", duration(took));
    }
    if let Some(ErrorView { code, message }) = task.failure() {
        let _ = write!(line, "  {}", excerpt_within(format!("{code}: {message}"), 200));
    }
    line
}

/// Returns a task without its payloads, as events have it.
pub(super) fn view(task: &TaskView) -> anyhow::Result<Box<RawValue>> {
    Ok(serde_json::value::to_raw_value(&serde_json::json!({
        "job_id": task.job_id,
        "task_id": task.task_id,
        "type": task.name,
        "status": task.status,
        "worker_id": task.worker_id,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
    }))?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, data: &serde_json::Value) -> Event {
        Event { name: name.to_owned(), id: None, data: data.to_string() }
    }

    fn task(job: &str, status: &str) -> serde_json::Value {
        json!({"job_id": job, "task_id": "t", "type": "resize", "status": status})
    }

    #[test]
    fn each_end_is_news_once_and_old_ends_are_none() {
        let printer = Printer::plain();
        let mut board = Board::new(&printer);
        let snapshot = json!({"tasks": [task("new", "running"), task("old", "finished")]});
        board.show(&event("snapshot", &snapshot)).expect("shown");
        assert!(board.open.contains_key("new") && board.ended.contains("old"));
        board.show(&event("task", &task("new", "finished"))).expect("shown");
        assert!(board.open.is_empty() && board.ended.contains("new"));
        board.show(&event("nonsense", &json!(5))).expect("left out");
        board.show(&event("task", &json!("nonsense"))).expect("left out");
    }

    #[test]
    fn a_line_says_what_ended_and_why() {
        let mut view = task("job-1", "failed");
        view["worker_id"] = json!("dev");
        view["started_at"] = json!(10.0);
        view["ended_at"] = json!(10.42);
        view["error"] = json!({"code": "TIMEOUT_ERROR", "message": "too\nlate"});
        let task: TaskView = serde_json::from_value(view).expect("a task");
        assert_eq!(
            line(&task, Paint::NONE),
            r"failed       resize  job-1  on dev  0.42 s  TIMEOUT_ERROR: too\nlate"
        );
    }
}
