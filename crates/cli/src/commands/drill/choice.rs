//! The choice of the tasks that are run again and again.

use std::time::Duration;

use anyhow::anyhow;
use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, NewTask, SkillView, TaskView};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::finding::ended;
use super::lane::hits;
use super::params;
use super::process::Process;
use crate::args::Drill;
use crate::commands::submit::schema::problems;
use crate::exit::Failure;

/// The longest time that a task may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The time limit of the first run of a task, which may load models.
const FIRST_RUN: Duration = Duration::from_secs(20);

/// The time for trying out tasks beside the first one that works.
const TRYING: Duration = Duration::from_secs(6);

/// A task that takes this long can be caught while it runs.
const LONG: Duration = Duration::from_millis(500);

/// The time of a batch of tasks in one of the worker's slots.
const BATCH: Duration = Duration::from_millis(300);

/// The number of times that a task is tried out.
const RUNS: u32 = 4;

/// The time between two looks at a task.
const LOOK: Duration = Duration::from_millis(5);

/// A task that the worker has run with success.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) name: String,
    params: Box<RawValue>,
    /// The time that it takes.
    pub(super) takes: Duration,
    /// Whether the worker has asked the storage for something while it ran.
    pub(super) uses_storage: bool,
}

/// The tasks of the drill.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    /// The one that is run most.
    pub(super) main: Task,
    /// One that takes longer, if there is one.
    long: Option<Task>,
    /// One with files, if there is one.
    pub(super) files: Option<Task>,
}

impl Tasks {
    /// The task to be caught while it runs.
    pub(super) fn longest(&self) -> &Task {
        self.long.as_ref().unwrap_or(&self.main)
    }
}

impl Task {
    /// Returns the task to be submitted.
    pub(super) fn new_task(&self) -> NewTask {
        NewTask::new(&self.name).with_raw_params(self.params.clone())
    }

    /// Whether it can be caught while it runs.
    pub(super) fn is_long(&self) -> bool {
        self.takes >= LONG
    }

    /// Whether it is one with files: the worker has used the storage, or is to use it, since parameters that somebody gave
    /// name a file there. An address that was made for a schema may stand for anything.
    fn has_files(&self, is_given: bool) -> bool {
        self.uses_storage || is_given && self.params.get().contains("\"s3://")
    }

    /// The number of tasks of which some still run when the first ones have ended.
    pub(super) fn batch(&self) -> usize {
        let takes = self.takes.as_secs_f64().max(0.001);
        (BATCH.as_secs_f64() / takes).ceil().clamp(3.0, 100.0) as usize
    }

    /// The number of tasks that keep the worker busy when it ends.
    pub(super) fn crowd(&self) -> usize {
        if self.is_long() { 3 } else { 100 }
    }

    /// The time of this number of tasks in one of the worker's slots.
    pub(super) fn time_of(&self, count: usize) -> Duration {
        self.takes * u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The tasks that a worker registered.
pub(super) struct Offer<'a> {
    pub(super) orchestrator: &'a DevOrchestrator,
    pub(super) skills: Vec<SkillView>,
    /// The worker.
    pub(super) process: &'a Process<'a>,
    /// The address of a file in the storage.
    pub(super) file: &'a str,
}

impl Offer<'_> {
    /// Chooses among them: the one that the arguments name, else those that work with what their schemas say.
    pub(super) async fn choose(&self, drill: &Drill) -> Result<Tasks, Failure> {
        if let Some(name) = &drill.task {
            let params = self.given(name, drill.params.as_deref())?;
            let tried = self.try_out(name, params, Instant::now() + FIRST_RUN).await;
            let main = tried.map_err(|problem| anyhow!("the task `{name}` cannot be used: {problem}"))?;
            let files = main.has_files(drill.params.is_some()).then(|| main.clone());
            return Ok(Tasks { main, long: None, files });
        }
        let (mut main, mut long, mut files, mut problems) = (None, None, None, Vec::new());
        let mut until = Instant::now() + FIRST_RUN;
        // Those with a schema say best what they need.
        let (described, others): (Vec<_>, Vec<_>) =
            self.skills.iter().partition(|skill| skill.input_schema.is_some());
        for skill in described.into_iter().chain(others) {
            if Instant::now() >= until || self.process.end().is_some() {
                break;
            }
            let name = skill.name.as_str();
            let task = match self.made(skill) {
                Ok(params) => self.try_out(name, params, until).await,
                Err(problem) => Err(problem),
            };
            match task {
                Err(problem) => problems.push(format!("`{name}`: {problem}")),
                Ok(task) => {
                    if task.is_long() && long.is_none() {
                        long = Some(task.clone());
                    }
                    if task.has_files(false) && files.is_none() {
                        files = Some(task.clone());
                    }
                    if main.is_none() {
                        main = Some(task);
                        until = Instant::now() + TRYING;
                    }
                }
            }
        }
        let main = main.ok_or_else(|| {
            let reasons = problems.join("; ");
            let failure = Failure::from(anyhow!(
                "no task of the worker can be called with what its schema says: {reasons}"
            ));
            failure.with_hint("`--task TYPE --params JSON` names one that can")
        })?;
        Ok(Tasks { main, long, files })
    }

    /// Returns the parameters in the arguments, else those made from the schema.
    fn given(&self, name: &str, params: Option<&str>) -> Result<Box<RawValue>, Failure> {
        let Some(skill) = self.skills.iter().find(|skill| skill.name.as_str() == name) else {
            let known: Vec<String> = self.skills.iter().map(|skill| format!("`{}`", skill.name)).collect();
            let expected = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            return Err(Failure::usage(anyhow!(
                "`--task` is `{name}`, but the worker registered {expected}"
            )));
        };
        let Some(params) = params else {
            return self
                .made(skill)
                .map_err(|problem| anyhow!("the task `{name}` cannot be used: {problem}").into());
        };
        let params = object(params)?;
        let schema =
            skill.input_schema.as_deref().and_then(|schema| serde_json::from_str::<Value>(schema.get()).ok());
        let value = serde_json::from_str::<Value>(params.get()).ok();
        let found = schema.zip(value).map(|(schema, value)| problems(&schema, &value)).unwrap_or_default();
        if found.is_empty() {
            return Ok(params);
        }
        Err(Failure::usage(anyhow!("`--params` do not fit `{name}`: {}", found.join("; "))))
    }

    /// Makes parameters from the schema; without one there are none.
    fn made(&self, skill: &SkillView) -> Result<Box<RawValue>, String> {
        let value = match skill.input_schema.as_deref() {
            Some(schema) => {
                let schema = serde_json::from_str(schema.get()).map_err(|error| error.to_string())?;
                params::of(&schema, self.file)?
            }
            None => Value::Object(serde_json::Map::new()),
        };
        serde_json::value::to_raw_value(&value).map_err(|error| error.to_string())
    }

    /// Runs a task several times, as long as there is time. The first run may load something, so the quickest one counts.
    async fn try_out(&self, name: &str, params: Box<RawValue>, until: Instant) -> Result<Task, String> {
        let hits = self.storage_requests();
        let mut task = Task { name: name.to_owned(), params, takes: Duration::ZERO, uses_storage: false };
        let mut quickest = Duration::MAX;
        for run in 0..RUNS {
            let view = match self.run_once(&task, until).await {
                // The runs before it say enough.
                Err(_) if run > 0 && Instant::now() >= until => break,
                view => view?,
            };
            let seconds = view.ended_at.zip(view.started_at).map_or(0.0, |(end, start)| end - start);
            quickest = quickest.min(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            if quickest >= LONG && run > 0 {
                break;
            }
        }
        task.takes = quickest;
        if task.takes > LONGEST {
            let (took, limit) = (task.takes.as_secs_f64(), LONGEST.as_secs());
            return Err(format!("it took {took:.1} s, expected at most {limit} s: it is run many times"));
        }
        task.uses_storage = self.storage_requests() > hits;
        Ok(task)
    }

    async fn run_once(&self, task: &Task, until: Instant) -> Result<TaskView, String> {
        let job = self.orchestrator.submit(task.new_task()).map_err(|error| error.to_string())?.job_id;
        let began = Instant::now();
        loop {
            let view = self.orchestrator.task(&job).ok_or("it was forgotten")?;
            // A failure that may pass would be tried again for a while.
            if let Some(error) = &view.error {
                let _ = self.orchestrator.cancel(&job);
                let message = rxon::text::excerpt_within(error.message.clone(), 200);
                return Err(format!("{}: {message}", error.code.as_str()));
            }
            if view.status.is_ended() {
                return Ok(view);
            }
            if Instant::now() > until {
                let _ = self.orchestrator.cancel(&job);
                return Err(format!("it did not end within {:.0} s", began.elapsed().as_secs_f64()));
            }
            if let Some(end) = self.process.end() {
                return Err(format!("the worker {} before the task ended", ended(end)));
            }
            sleep(LOOK).await;
        }
    }

    /// The number of requests to the storage since [`watch_storage`].
    fn storage_requests(&self) -> u64 {
        hits(self.orchestrator, Fault::StorageSlow)
    }
}

/// Begins to count requests to the storage, which a hardly noticeable fault does.
pub(super) fn watch_storage(orchestrator: &DevOrchestrator, on: bool) -> anyhow::Result<()> {
    let switch =
        if on { FaultSwitch::on().with_delay(Duration::from_millis(100)) } else { FaultSwitch::off() };
    Ok(orchestrator.set_fault(Fault::StorageSlow, switch)?)
}

/// Reads the parameters in the arguments.
pub(super) fn object(params: &str) -> Result<Box<RawValue>, Failure> {
    let value: Box<RawValue> = serde_json::from_str(params).map_err(|error| {
        Failure::usage(anyhow!("`--params` is `{params}`, expected a JSON object: {error}"))
    })?;
    if value.get().starts_with('{') {
        return Ok(value);
    }
    Err(Failure::usage(anyhow!("`--params` is `{params}`, expected a JSON object")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_that_were_given_ask_for_the_storage() {
        let task = |params: &str, uses_storage| Task {
            name: "a".to_owned(),
            params: object(params).expect("an object"),
            takes: Duration::ZERO,
            uses_storage,
        };
        let (address, none) = (r#"{"callback": "s3://b/file"}"#, "{}");
        assert!(task(address, false).has_files(true) && !task(address, false).has_files(false));
        assert!(task(none, true).has_files(false) && !task(none, false).has_files(true));
    }
}
