//! Submitting tasks and showing their progress.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use avtomatika_dev::{DevOrchestrator, Event, Feed, NewTask, TaskStatus, TaskView};
use avtomatika_worker::JobId;

use super::gallery::Gallery;
use super::resize_image::TASK;
use super::stock::{Delivery, Order};
use crate::output::Printer;
use crate::progress::Progress;

/// The time limit for the registration of the worker.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Watches the orchestrator, and prints its events.
#[derive(Debug)]
pub(super) struct Show<'a> {
    orchestrator: &'a DevOrchestrator,
    feed: Feed,
    printer: &'a Printer,
}

impl<'a> Show<'a> {
    /// Watches from now on. Has to be called before the worker is started.
    pub(super) fn new(orchestrator: &'a DevOrchestrator, printer: &'a Printer) -> Self {
        Self { orchestrator, feed: orchestrator.subscribe(), printer }
    }

    pub(super) fn printer(&self) -> &'a Printer {
        self.printer
    }

    /// The address of the orchestrator.
    pub(super) fn url(&self) -> String {
        self.orchestrator.url()
    }

    /// Submits tasks, shows their progress, and returns them when all have ended.
    pub(super) async fn run(&mut self, tasks: &[(&str, Order)], bars: bool) -> anyhow::Result<Vec<TaskView>> {
        self.wait_for_worker().await?;
        let names: Vec<&str> = tasks.iter().map(|(name, _)| *name).collect();
        let mut progress = Progress::new(self.printer, bars, &names);
        let mut jobs = Vec::with_capacity(tasks.len());
        for (index, (_, order)) in tasks.iter().enumerate() {
            jobs.push(self.orchestrator.submit(NewTask::new(TASK).with_params(order))?.job_id);
            progress.set(index, 0.0, "queued");
        }
        let mut ended = vec![false; jobs.len()];
        while ended.contains(&false) {
            match self.next().await? {
                Event::Progress { job_id, progress: fraction, message, .. } => {
                    if let Some(index) = position(&jobs, &job_id) {
                        progress.set(index, fraction, &message);
                    }
                }
                Event::TaskChanged { job_id, status, .. } if status.is_ended() => {
                    if let Some(index) = position(&jobs, &job_id) {
                        ended[index] = true;
                        progress.end(index, status == TaskStatus::Finished, status.as_str());
                    }
                }
                // The missed events may include the end of a task.
                Event::Missed { .. } => {
                    ended = self.views(&jobs)?.iter().map(|task| task.status.is_ended()).collect();
                }
                _ => {}
            }
        }
        progress.finish();
        self.views(&jobs)
    }

    /// Prints a line for every task that ends, and saves its result, for as long as it is awaited.
    pub(super) async fn watch(&mut self, gallery: &Gallery) -> anyhow::Result<Infallible> {
        loop {
            if let Event::TaskChanged { job_id, name, status, error, .. } = self.next().await?
                && status.is_ended()
            {
                let more = match error {
                    Some(error) => format!(": {error}"),
                    None => self.save_result(&job_id, gallery).await.unwrap_or_default(),
                };
                self.printer.note(format_args!("{name} {job_id}: {status}{more}"));
            }
        }
    }

    /// Saves the result of a task; returns its path, or the reason why it was not saved.
    async fn save_result(&self, job: &JobId, gallery: &Gallery) -> Option<String> {
        let delivery = Delivery::of(&self.orchestrator.task(job)?).ok()??;
        let bytes = delivery.fetch(self.orchestrator.storage()?).await;
        Some(match bytes.and_then(|bytes| gallery.save(delivery.name(), &bytes)) {
            Ok(path) => format!(", {}", path.display()),
            Err(error) => format!(", but {error:#}"),
        })
    }

    async fn wait_for_worker(&mut self) -> anyhow::Result<()> {
        let arrival = async {
            while !matches!(self.next().await?, Event::WorkerRegistered { .. }) {}
            Ok(())
        };
        match tokio::time::timeout(ARRIVAL, arrival).await {
            Ok(arrived) => arrived,
            Err(_) => bail!(
                "the worker has not registered within {} s; `--verbose` shows its log",
                ARRIVAL.as_secs()
            ),
        }
    }

    async fn next(&mut self) -> anyhow::Result<Event> {
        self.feed.next().await.context("the development orchestrator ended before the demo did")
    }

    fn views(&self, jobs: &[JobId]) -> anyhow::Result<Vec<TaskView>> {
        let view = |job| self.orchestrator.task(job).ok_or_else(|| anyhow!("`{job}` was removed"));
        jobs.iter().map(view).collect()
    }
}

fn position(jobs: &[JobId], job: &JobId) -> Option<usize> {
    jobs.iter().position(|known| known == job)
}
