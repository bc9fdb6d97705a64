//! One run of a worker.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use avtomatika_worker as core;
use core::extract::Outside;
use core::{Outcome, StopCause, TaskName, TaskOptions, TaskRequest, Usage, WorkerBuilder, WorkerHandle};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use rxon::json;
use serde_json::value::RawValue;
use tracing::Dispatch;

use crate::bridge::{Bridge, Route};
use crate::command::{self, Command};
use crate::config::Config;
use crate::error::{Failure, unexpected};
use crate::lines::Line;
use crate::logging;
use crate::process::Process;
use crate::record::{Ended, Record};
use crate::runtime::Thread;
use crate::task::{Task, outcome, unreadable};
use crate::watch::Watch;

// The kinds of records that `exchange` returns, given as the first member of each.
const TASK: u8 = 0;
const CANCEL: u8 = 1;
const COMMAND: u8 = 2;
const IGNORED: u8 = 3;
const ENDED: u8 = 4;
/// Log lines wait.
const LINES: u8 = 5;

/// One run of a worker, from its start to its end. The package's `Worker` makes one for each run.
#[pyclass(frozen, module = "avtomatika_worker._native")]
pub(crate) struct Worker {
    bridge: Arc<Bridge>,
    handle: WorkerHandle,
    log: Dispatch,
    ready: Mutex<Option<core::Worker>>,
    thread: OnceLock<Thread>,
    watch: OnceLock<Watch>,
    process: Process,
}

/// The options of one task.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct TaskSpec {
    pub(crate) name: String,
    on_thread: bool,
    limit_group: Option<String>,
    time_limit: Option<f64>,
    description: Option<String>,
    version: Option<String>,
    input_schema: Option<String>,
    output_schema: Option<String>,
    enforces_input: bool,
    enforces_output: bool,
    output_statuses: Option<Vec<String>>,
    events: Vec<(String, String)>,
    /// A JSON object.
    extra: Option<String>,
}

#[pymethods]
impl Worker {
    /// Builds a worker with these tasks. Checks all options set in code; starts nothing.
    #[new]
    #[pyo3(signature = (config, tasks, *, worker_type, max_concurrent_tasks, limits, skill_dependencies, capacity_checker, usage_checker, reports_ignored))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the Python class, its only caller"
    )]
    fn new(
        config: Option<Bound<'_, Config>>,
        tasks: Vec<TaskSpec>,
        worker_type: Option<String>,
        max_concurrent_tasks: Option<usize>,
        limits: BTreeMap<String, usize>,
        skill_dependencies: BTreeMap<String, Vec<String>>,
        capacity_checker: Option<Py<PyAny>>,
        usage_checker: Option<Py<PyAny>>,
        reports_ignored: bool,
    ) -> PyResult<Self> {
        let bridge = Arc::new(Bridge::new().map_err(|error| unexpected("the bridge cannot be made", error))?);
        let mut builder: WorkerBuilder = core::Worker::builder().allow_no_tasks();
        if let Some(config) = config {
            builder = builder.config(config.get().snapshot());
        }
        for (index, task) in tasks.into_iter().enumerate() {
            let options = options(&task)?;
            let (bridge, route) = (bridge.clone(), Route { index, on_thread: task.on_thread });
            let handler = move |request: TaskRequest| bridge.clone().run(route, request);
            builder = builder.task_with(task.name, options, handler);
        }
        if let Some(worker_type) = worker_type {
            builder = builder.worker_type(worker_type);
        }
        if let Some(limit) = max_concurrent_tasks {
            builder = builder.max_concurrent_tasks(limit);
        }
        for (group, limit) in limits {
            builder = builder.limit(group, limit);
        }
        for (skill, models) in skill_dependencies {
            builder = builder.skill_dependencies(skill, models);
        }
        if let Some(check) = capacity_checker {
            builder = builder.capacity_checker(move |name| accepts(&check, name));
        }
        if let Some(check) = usage_checker {
            builder = builder.usage_checker(move || usage(&check));
        }
        let obeying = bridge.clone();
        builder = builder.on_command(move |command| command::obey(obeying.clone(), command));
        if reports_ignored {
            let bridge = bridge.clone();
            builder = builder.on_ignored_result(move |ignored| {
                bridge.push(Record::Ignored(ignored.clone()));
            });
        }
        let log = logging::dispatch(&bridge);
        let worker = tracing::dispatcher::with_default(&log, || builder.build());
        let worker = worker.map_err(invalid)?;
        Ok(Self {
            bridge,
            handle: worker.handle(),
            log,
            ready: Mutex::new(Some(worker)),
            thread: OnceLock::new(),
            watch: OnceLock::new(),
            process: Process::current(),
        })
    }

    /// Starts the worker on a thread of its own. `name_blocker` is called on another thread when the event loop is
    /// blocked.
    fn start(&self, health_check: bool, name_blocker: Py<PyAny>) -> PyResult<()> {
        self.check_process_surely()?;
        let worker = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        let worker = worker.ok_or_else(|| PyRuntimeError::new_err("the worker has been started before"))?;
        let failed = |error| unexpected("the worker's thread cannot be started", error);
        let watch = Watch::start(self.bridge.clone(), self.handle.clone(), name_blocker, self.log.clone());
        let _ = self.watch.set(watch.map_err(failed)?);
        let thread = Thread::start(worker, health_check, self.bridge.clone(), self.log.clone());
        let _ = self.thread.set(thread.map_err(failed)?);
        Ok(())
    }

    /// A file descriptor that is readable when there is something to drain.
    fn fileno(&self) -> PyResult<i32> {
        self.check_process_surely()?;
        Ok(self.bridge.fd())
    }

    /// Takes the outcomes of handlers on the loop, as `complete` does, and returns all records for the loop, in order; that
    /// log lines wait is told first. A caller that gets any has to call this again soon: `fileno` does not become readable
    /// until a call has returned none. `rung` means that it was readable.
    fn exchange<'py>(
        &self,
        py: Python<'py>,
        ended: &Bound<'py, PyList>,
        rung: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        self.check_process()?;
        let (outcomes, on_loop) = outcomes(ended)?;
        let records = self.bridge.exchange(outcomes, on_loop, rung);
        let list = PyList::empty(py);
        if self.bridge.lines.any() {
            list.append((LINES,))?;
        }
        for record in records {
            list.append(to_python(py, record)?)?;
        }
        Ok(list)
    }

    /// Takes the collected log lines, and the number of dropped ones.
    fn log_lines(&self) -> (Vec<Line>, u64) {
        let (lines, dropped) = self.bridge.lines.take();
        (lines.into(), dropped)
    }

    /// Sets the lowest level that Python's logger records.
    fn set_log_level(&self, level: u8) {
        self.bridge.lines.set_level(level);
    }

    /// Takes the outcomes of handlers: for each a task, a status, data as JSON text, an error, further members. Never
    /// blocks. Can be called on any thread.
    fn complete(&self, ended: &Bound<'_, PyList>) -> PyResult<()> {
        self.check_process()?;
        let (outcomes, on_loop) = outcomes(ended)?;
        self.bridge.ended_on_loop(on_loop);
        self.bridge.hand_back(outcomes);
        Ok(())
    }

    /// Begins the shutdown, as the first signal does. The cause is `SIGTERM`, `SIGINT` or anything else.
    fn drain_because(&self, cause: &str) {
        self.handle.drain_because(match cause {
            "SIGTERM" => StopCause::Terminate,
            "SIGINT" => StopCause::Interrupt,
            _ => StopCause::Asked,
        });
    }

    /// Cancels all running tasks, as the second signal does.
    fn cancel(&self) {
        self.handle.cancel();
    }

    /// Ends the worker at once: running tasks are cancelled, unsent results are lost.
    fn abort(&self) {
        if let Some(thread) = self.thread.get() {
            thread.abort();
        }
    }

    /// Waits until the worker's threads have ended; false when they have not ended within this many seconds.
    fn join(&self, py: Python<'_>, seconds: f64) -> bool {
        if self.check_process_surely().is_err() {
            return true;
        }
        let Some(thread) = self.thread.get() else { return true };
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        py.detach(|| {
            let ended = thread.join(limit);
            if let Some(watch) = self.watch.get() {
                watch.stop();
                while ended && !watch.is_finished() {
                    // `stop` wakes the thread at once, so this takes a moment only.
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            ended
        })
    }

    /// Adds a task whose route is the one at `index`, also to a worker that runs. Returns false if it is too late: the
    /// worker is shutting down.
    #[expect(clippy::needless_pass_by_value, reason = "arguments of Python are extracted by value")]
    fn add_task(&self, task: TaskSpec, index: usize) -> PyResult<bool> {
        self.check_process_surely()?;
        let options = options(&task)?;
        let (bridge, route) = (self.bridge.clone(), Route { index, on_thread: task.on_thread });
        let handler = move |request: TaskRequest| bridge.clone().run(route, request);
        let add = || self.handle.add_task(&task.name, options, handler);
        match tracing::dispatcher::with_default(&self.log, add) {
            Ok(()) => Ok(true),
            Err(core::BuildError::Draining(_)) => Ok(false),
            Err(error) => Err(invalid(error)),
        }
    }

    /// Tells that all handlers have middleware from now on, which runs on the loop.
    fn set_all_on_loop(&self) {
        self.bridge.set_all_on_loop();
    }

    /// Sets the function that measures how busy the machine is; without one, the core measures by itself.
    fn set_usage_checker(&self, checker: Option<Py<PyAny>>) {
        match checker {
            Some(check) => self.handle.set_usage_checker(move || usage(&check)),
            None => self.handle.clear_usage_checker(),
        }
    }

    /// Sends a ready-made event, JSON text, to all orchestrators. Never blocks.
    fn emit_event(&self, event: &[u8]) -> PyResult<()> {
        let failed = |error: String| PyValueError::new_err(error);
        let event: Box<RawValue> =
            serde_json::from_slice(event).map_err(|error| failed(error.to_string()))?;
        self.handle.emit_event(event).map_err(|error| failed(error.to_string()))
    }

    /// Reports that a model is loaded.
    fn add_to_hot_cache(&self, model: String) {
        self.handle.add_to_hot_cache(model);
    }

    /// Reports that a model is no longer loaded.
    fn remove_from_hot_cache(&self, model: &str) {
        self.handle.remove_from_hot_cache(model);
    }

    /// The models reported as loaded, in alphabetical order.
    fn hot_cache(&self) -> Vec<String> {
        self.handle.hot_cache()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without its Python half, the worker would take tasks and never run them.
        if self.check_process_surely().is_ok() {
            self.abort();
        }
    }
}

impl Worker {
    /// Refuses use in a forked process: a worker's threads exist only in the process that started them.
    fn check_process(&self) -> PyResult<()> {
        if self.process.is_current() { Ok(()) } else { Err(self.is_forked()) }
    }

    /// The same for calls that are rare.
    fn check_process_surely(&self) -> PyResult<()> {
        if self.process.is_surely_current() { Ok(()) } else { Err(self.is_forked()) }
    }

    fn is_forked(&self) -> PyErr {
        let (now, before) = (std::process::id(), self.process.id());
        PyRuntimeError::new_err(format!(
            "this worker runs in process {before}, but this is process {now}, forked from it: the worker's threads exist only \
             in the parent; start a separate worker in this process, or start processes with `spawn`"
        ))
    }
}

/// Reads the outcomes that Python hands over; returns them with the number of those whose handlers have run on the loop.
fn outcomes(ended: &Bound<'_, PyList>) -> PyResult<(Vec<(Outside, Outcome)>, usize)> {
    let mut outcomes = Vec::with_capacity(ended.len());
    let mut on_loop = 0;
    for item in ended {
        let item = item.cast_into::<PyTuple>()?;
        let task = item.get_item(0)?.cast_into::<Task>()?;
        let task = task.get();
        let Some(outside) = task.take() else { continue };
        on_loop += usize::from(task.is_on_loop());
        // An unreadable outcome fails its own task only.
        outcomes.push((outside, outcome(&item).unwrap_or_else(|error| unreadable(&error))));
    }
    Ok((outcomes, on_loop))
}

fn to_python(py: Python<'_>, record: Record) -> PyResult<Bound<'_, PyAny>> {
    let tuple = match record {
        Record::Task(arrived) => {
            let text = arrived.params.get();
            // The look for the numbers that JSON lacks is much faster than their replacement.
            let text = if json::has_stand_ins(text) { json::restored(text) } else { Cow::Borrowed(text) };
            let params = PyBytes::new(py, text.as_bytes());
            let task = Task::new(arrived.outside, arrived.on_loop);
            (TASK, arrived.number, arrived.route, task, params).into_pyobject(py)?
        }
        Record::Cancel(number) => return Ok((CANCEL, number).into_pyobject(py)?.into_any()),
        Record::Command(pending) => {
            return Ok((COMMAND, Command::from(pending)).into_pyobject(py)?.into_any());
        }
        Record::Ignored(ignored) => {
            let (task_id, job_id) = (ignored.task_id.as_str(), ignored.job_id.as_str());
            return Ok((IGNORED, task_id, job_id, ignored.reason.as_str()).into_pyobject(py)?.into_any());
        }
        Record::Ended(ended) => return how_it_ended(py, ended),
    };
    Ok(tuple.into_any())
}

/// Either `(ENDED, (cause, cancelled, unacknowledged, kept), None)` or
/// `(ENDED, None, (message, problems, exit_code))`.
fn how_it_ended(py: Python<'_>, ended: Ended) -> PyResult<Bound<'_, PyAny>> {
    let ids = |ids: Vec<core::TaskId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let tuple = match ended {
        Ok(stopped) => {
            let cause = stopped.cause.to_string();
            let stopped = (cause, ids(stopped.cancelled), ids(stopped.unacknowledged), ids(stopped.kept));
            (ENDED, Some(stopped), None)
        }
        Err(failure) => (ENDED, None, Some((failure.message, failure.problems, failure.exit_code))),
    };
    Ok(tuple.into_pyobject(py)?.into_any())
}

/// Calls the user's capacity check, on the core's thread for such checks.
fn accepts(check: &Py<PyAny>, name: &TaskName) -> bool {
    let ask =
        |py: Python<'_>| check.call1(py, (name.as_str(),)).and_then(|answer| answer.extract::<bool>(py));
    match Python::try_attach(ask) {
        Some(Ok(accepted)) => accepted,
        // The Python half catches and logs the exceptions of the check itself.
        Some(Err(error)) => {
            tracing::warn!(task = %name, "`capacity_checker` cannot be called: {error}");
            true
        }
        None => true,
    }
}

/// Calls the user's function, on the core's thread for it. The answer is JSON text; the Python half logs what is wrong.
fn usage(check: &Py<PyAny>) -> Option<Usage> {
    let text = Python::try_attach(|py| check.call0(py)?.extract::<Option<Vec<u8>>>(py));
    match text? {
        Ok(text) => serde_json::from_slice(&text?).ok(),
        Err(error) => {
            tracing::warn!("the usage checker cannot be called: {error}");
            None
        }
    }
}

fn invalid(error: core::BuildError) -> PyErr {
    PyValueError::new_err(Failure::from(core::Error::from(error)).message)
}

/// The options of a task, as the core takes them.
pub(crate) fn options(task: &TaskSpec) -> PyResult<TaskOptions> {
    let schema = |what: &str, text: Option<String>| {
        let wrong = |error| {
            PyValueError::new_err(format!("the {what} of the task `{}` is not JSON: {error}", task.name))
        };
        text.map(|text| serde_json::from_str(&text).map_err(wrong)).transpose()
    };
    let mut options = TaskOptions::new();
    if let Some(group) = &task.limit_group {
        options = options.limit_group(group);
    }
    if let Some(seconds) = task.time_limit {
        let limit = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero());
        let limit = limit.ok_or_else(|| {
            PyValueError::new_err(format!(
                "the timeout of the task `{}` is `{seconds}`, expected a number of seconds above 0",
                task.name
            ))
        })?;
        options = options.time_limit(limit);
    }
    if let Some(description) = &task.description {
        options = options.description(description);
    }
    if let Some(version) = &task.version {
        options = options.version(version);
    }
    if let Some(input) = schema("input schema", task.input_schema.clone())? {
        options = options.input_schema(input);
    }
    if let Some(output) = schema("output schema", task.output_schema.clone())? {
        options = options.output_schema(output);
    }
    if task.enforces_input {
        options = options.enforce_input_schema();
    }
    if task.enforces_output {
        options = options.enforce_output_schema();
    }
    if let Some(statuses) = &task.output_statuses {
        options = options.output_statuses(statuses);
    }
    if let Some(serde_json::Value::Object(extra)) = schema("description", task.extra.clone())? {
        options = extra.into_iter().fold(options, |options, (name, value)| options.extra(name, value));
    }
    for (event_type, text) in &task.events {
        if let Some(event) = schema("event schema", Some(text.clone()))? {
            options = options.event(event_type, event);
        }
    }
    Ok(options)
}
