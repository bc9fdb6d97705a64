//! A story as it is shown to people, with the durations that follow from it.

use std::time::Duration;

use rxon::{JobId, TaskId, WorkerId};
use serde::Serialize;

use super::{Entry, Story, Way, What};
use crate::store::{Job, Names};

/// The story of a task.
#[derive(Debug, Serialize)]
pub(crate) struct StoryView {
    job_id: JobId,
    events: Vec<EventView>,
    durations: Durations,
    /// The number of events that were left out.
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
}

/// An event, with the members that its kind has.
#[derive(Debug, Serialize)]
struct EventView {
    n: usize,
    /// The time, in seconds since 1970.
    at: f64,
    event: &'static str,
    task_id: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<WorkerId>,
    /// The time since the event before, in seconds.
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    retried_as: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ErrorView {
    code: String,
    message: String,
}

/// The phases of the current or last try, in seconds; `None` where they are not known.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Durations {
    /// From the submission, or from the end of the try or step before, to the delivery.
    pub(super) queued: Option<f64>,
    /// From the delivery to the end of the last read of inputs.
    pub(super) inputs: Option<f64>,
    /// From the start to the first write of outputs; without outputs, to the result.
    pub(super) handler: Option<f64>,
    /// From the begin of the first write of outputs to the end of the last one.
    pub(super) outputs: Option<f64>,
    /// From the end of the outputs to the result.
    pub(super) result: Option<f64>,
    /// From the submission to the end of the task.
    pub(super) total: Option<f64>,
}

impl StoryView {
    pub(crate) fn new(job: &Job, names: &Names) -> Self {
        let (mut events, mut last) = (Vec::with_capacity(job.story.entries.len() + 1), Duration::ZERO);
        for (entry, is_start) in job.story.with_starts() {
            let seconds = entry.at.saturating_sub(last).as_secs_f64();
            last = entry.at;
            let mut event = EventView {
                n: events.len() + 1,
                at: job.submitted_at + entry.at.as_secs_f64(),
                event: "started",
                task_id: names.task(job.number, entry.attempt),
                worker_id: entry.worker_id.clone(),
                seconds,
                progress: None,
                message: None,
                status: None,
                error: None,
                reason: None,
                state: None,
                retried_as: None,
                name: None,
                source: None,
                requests: None,
            };
            if !is_start {
                event.describe(&entry.what, names);
            }
            events.push(event);
        }
        let durations = job.story.durations(job.stage.status().is_ended());
        Self { job_id: names.job(job.number), events, durations, dropped: job.story.dropped }
    }
}

impl EventView {
    fn describe(&mut self, what: &What, names: &Names) {
        self.event = match what {
            What::Submitted => "submitted",
            What::Offered => "offered",
            What::Delivered => "delivered",
            What::Transfer(transfer) => {
                self.source = Some("storage");
                self.requests = Some(transfer.requests);
                if transfer.way == Way::Inputs { "inputs_fetched" } else { "outputs_sent" }
            }
            What::Progress(progress, message) => {
                self.progress = Some(*progress);
                self.message = Some(message.to_string());
                "progress"
            }
            What::Result(report) => {
                self.status = Some(report.status.clone());
                self.source = report.is_own.then_some("orchestrator");
                let error = report.error.clone();
                self.error = error.map(|(code, message)| ErrorView { code, message });
                "result"
            }
            What::Requeued(reason) => {
                self.reason = Some(reason.to_string());
                "requeued"
            }
            What::Entered(state) => {
                self.state = Some(state.to_string());
                "entered"
            }
            What::Retried(number) => {
                self.retried_as = Some(names.job(*number));
                "retried"
            }
            What::CancelRequested => "cancel_requested",
            What::Cancelled => "cancelled",
            What::Fault(name) => {
                self.name = Some(name.to_string());
                "fault"
            }
        };
    }
}

impl Story {
    /// Returns the events in their order. Each start of a handler stands behind the event that it coincides with: it is
    /// that entry once more, marked with `true`.
    fn with_starts(&self) -> Vec<(&Entry, bool)> {
        let mut events = Vec::with_capacity(self.entries.len() + 1);
        for (index, entry) in self.entries.iter().enumerate() {
            events.push((entry, false));
            let rest = &self.entries[index + 1..];
            let is_start = match entry.what {
                What::Delivered => !this_try(rest).any(is_fetch),
                _ => is_fetch(entry),
            };
            if is_start {
                events.push((entry, true));
            }
        }
        events
    }

    /// Returns the phases of the current or last try.
    pub(super) fn durations(&self, is_ended: bool) -> Durations {
        let between = |from: Option<Duration>, to: Option<Duration>| {
            from.zip(to).map(|(from, to)| to.saturating_sub(from).as_secs_f64())
        };
        let first = self.entries.first().map(|entry| entry.at);
        let is_end = |entry: &&Entry| matches!(entry.what, What::Result(_) | What::Cancelled);
        let end = self.entries.iter().rev().find(is_end).filter(|_| is_ended).map(|entry| entry.at);
        let total = between(first, end);
        let Some(offer) = self.last_offer() else {
            return Durations { queued: total, total, ..Durations::default() };
        };
        let (before, current) = self.entries.split_at(offer);
        let is_entry =
            |entry: &&Entry| matches!(entry.what, What::Submitted | What::Requeued(_) | What::Entered(_));
        let queued = before.iter().rev().find(is_entry).map(|entry| entry.at);
        let at =
            |wanted: fn(&Entry) -> bool| current.iter().find(|entry| wanted(entry)).map(|entry| entry.at);
        let delivered = at(|entry| matches!(entry.what, What::Delivered));
        let result = at(|entry| matches!(entry.what, What::Result(_)));
        let fetched = at(is_fetch);
        let mut transfers = current.iter().filter_map(|entry| match entry.what {
            What::Transfer(transfer) if transfer.way == Way::Outputs => Some((transfer.began, entry.at)),
            _ => None,
        });
        let (sending, sent) = transfers.next_back().unzip();
        Durations {
            queued: between(queued, delivered),
            inputs: between(delivered, fetched),
            handler: between(delivered.max(fetched).filter(|_| delivered.is_some()), sending.or(result)),
            outputs: between(sending, sent),
            result: between(sent, result),
            total,
        }
    }
}

/// Returns the events up to the next time that the task is offered.
fn this_try(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().take_while(|entry| !matches!(entry.what, What::Offered))
}

fn is_fetch(entry: &Entry) -> bool {
    matches!(&entry.what, What::Transfer(transfer) if transfer.way == Way::Inputs)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
