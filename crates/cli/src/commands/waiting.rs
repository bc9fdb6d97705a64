//! Waiting for tasks.

use std::time::Duration;

use anyhow::anyhow;
use rxon::text::one_line;
use tokio::time::sleep;

use crate::client::{Client, TaskView, encoded};
use crate::exit::Failure;
use crate::output::Printer;
use crate::progress::Progress;

/// The time between two looks, when a task was submitted just now.
const SHORTEST: Duration = Duration::from_millis(20);

/// The time between two looks at a task that takes longer.
const LONGEST: Duration = Duration::from_millis(500);

/// The number of tasks that are looked at in a round, if their progress is shown.
const WINDOW: usize = 32;

/// Waits until all tasks have ended. Calls `each` with every one, in their order.
pub(super) async fn until_ended(
    client: &Client,
    jobs: &[String],
    shows_progress: bool,
    printer: &Printer,
    mut each: impl FnMut(TaskView) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let names: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let mut progress = shows_progress.then(|| Progress::new(printer, true, &names));
    // Without progress, only the first one has to be looked at: the others may take as long as they like.
    let window = if shows_progress { WINDOW } else { 1 };
    let mut ended: Vec<Option<TaskView>> = jobs.iter().map(|_| None).collect();
    let (mut first, mut interval) = (0, SHORTEST);
    while first < jobs.len() {
        let open: Vec<usize> =
            (first..jobs.len()).filter(|index| ended[*index].is_none()).take(window).collect();
        for index in open {
            let task: TaskView =
                client.get(&format!("/api/tasks/{}", encoded(&jobs[index]))).await?.read()?;
            if let Some(progress) = &mut progress {
                show(progress, index, &task);
            }
            if task.is_ended() {
                ended[index] = Some(task);
            }
        }
        let before = first;
        while let Some(task) = ended.get_mut(first).and_then(Option::take) {
            match &progress {
                Some(progress) => progress.suspend(|| each(task))?,
                None => each(task)?,
            }
            first += 1;
        }
        if first > before {
            interval = SHORTEST;
        } else {
            sleep(interval).await;
            interval = (interval * 3 / 2).min(LONGEST);
        }
    }
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok(())
}

fn show(progress: &mut Progress<'_>, index: usize, task: &TaskView) {
    if task.is_ended() {
        progress.end(index, task.status == "finished", &task.status);
        return;
    }
    let message = task.progress_message.as_deref().filter(|message| !message.is_empty());
    progress.set(index, task.progress.unwrap_or_default(), &one_line(message.unwrap_or(&task.status)));
}

/// Returns the reason why a task did not finish.
pub(super) fn reason(task: &TaskView, is_named: bool) -> anyhow::Error {
    let reason = match task.failure() {
        Some(error) => format!("{}: {}", error.code, error.message),
        None => format!("the task is {}", task.status),
    };
    let reason = one_line(&reason);
    if is_named { anyhow!("{}: {reason}", task.job_id) } else { anyhow!("{reason}") }
}
