//! The shared state: the pure [`Jobs`], with the clock, the open polls, the feeds and the waiting callers.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rxon::model::Command;
use rxon::{JobId, TaskId, WorkerId};
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Now;
use crate::error::Error;
use crate::events::{self, Event, Feed};
use crate::faults::Faults;
use crate::jobs::{Action, Jobs, MAX_WORKERS, PollId, Repeat};
use crate::live::Live;
use crate::logs::Logs;
use crate::persist::{Keeper, Kept, Opened};
use crate::s3::{KeptBuckets, Watch};
use crate::settings::Settings;
use crate::store::Assignment;
use crate::story::Way;
use crate::task::{NewTask, Submitted, check_params};
use crate::view::TaskView;
use crate::wire::Wire;

/// The number of websockets.
const MAX_LINES: usize = MAX_WORKERS;

/// The number of commands that wait for a worker that reads slowly.
const MAX_COMMANDS: usize = 64;

/// The number of large bodies that are read at the same time.
const MAX_LARGE_BODIES: usize = 8;

/// The state shared by the routes and the handle.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) settings: Settings,
    /// Ends everything.
    pub(crate) stop: CancellationToken,
    /// Changes for browsers.
    pub(crate) live: Live,
    pub(crate) logs: Logs,
    /// The turns of large bodies.
    pub(crate) large_bodies: Semaphore,
    /// The exchanges with workers.
    pub(crate) wire: Wire,
    /// The switches of faults.
    pub(crate) faults: Arc<Faults>,
    /// Keeps all changes, if anything is kept.
    pub(crate) keeper: Option<Keeper>,
    /// Whether no token of a worker is accepted.
    pub(crate) tokens_suspended: Arc<AtomicBool>,
    /// Signals that the next timed action is due earlier than before.
    sooner: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    jobs: Jobs,
    last_poll: u64,
    /// The channels to the open polls.
    polls: HashMap<PollId, oneshot::Sender<Assignment>>,
    /// The channels to the websockets of workers, each with the number of the websocket.
    lines: HashMap<WorkerId, (u64, mpsc::Sender<Command>)>,
    last_line: u64,
    /// The channels to callers that wait for the end of a job, by its number.
    waiters: HashMap<u64, watch::Sender<Option<TaskView>>>,
    /// The channel to the feeds; `None` after the shutdown.
    feed: Option<broadcast::Sender<Event>>,
    /// The time at which the timer wakes next.
    armed: Option<Instant>,
}

impl Hub {
    /// Creates an empty state.
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let jobs = Jobs::new(settings.clone(), Now::read());
        Self::with(settings, jobs, Logs::default(), Faults::new(), None)
    }

    /// Goes on with the state of an earlier orchestrator, and keeps all changes. Returns the contents of its storage, too.
    pub(crate) fn restored(settings: Settings, opened: Opened) -> (Arc<Self>, KeptBuckets) {
        let (Opened { keeper, kept: Kept { store, lines, faults, buckets } }, now) = (opened, Now::read());
        let jobs = Jobs::restored(settings.clone(), store, now);
        let there: Vec<WorkerId> = jobs.store().workers.keys().cloned().collect();
        let faults = Faults::restored(faults, &there, now);
        (Self::with(settings, jobs, Logs::restored(lines), faults, Some(keeper)), buckets)
    }

    fn with(settings: Settings, jobs: Jobs, logs: Logs, faults: Faults, keeper: Option<Keeper>) -> Arc<Self> {
        let state = State {
            jobs,
            last_poll: 0,
            polls: HashMap::new(),
            lines: HashMap::new(),
            last_line: 0,
            waiters: HashMap::new(),
            feed: Some(broadcast::Sender::new(events::CAPACITY)),
            armed: None,
        };
        Arc::new(Self {
            stop: CancellationToken::new(),
            live: Live::new(),
            logs,
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
            wire: Wire::new(&settings),
            faults: Arc::new(faults),
            keeper,
            tokens_suspended: Arc::default(),
            sooner: Notify::new(),
            state: Mutex::new(state),
            settings,
        })
    }

    /// Applies a change to the jobs, and performs the actions that follow from it.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut Jobs, Now) -> R) -> R {
        let mut state = self.lock();
        // The clock is read under the lock, so that time never runs backwards for the jobs.
        let answer = change(&mut state.jobs, Now::read());
        self.settle(&mut state);
        answer
    }

    /// Reads the jobs.
    pub(crate) fn inspect<R>(&self, read: impl FnOnce(&Jobs, Now) -> R) -> R {
        read(&self.lock().jobs, Now::read())
    }

    pub(crate) fn submit(&self, task: NewTask) -> Result<Submitted, Error> {
        let task = task.check(&self.settings)?;
        if self.stop.is_cancelled() {
            return Err(Error::ShutDown);
        }
        self.update(|jobs, now| jobs.submit(task, now).map(|number| submitted(jobs, number)))
    }

    /// Submits the same task several times: all of them, or none.
    pub(crate) fn submit_many(&self, task: NewTask, count: usize) -> Result<Vec<Submitted>, Error> {
        let task = task.check(&self.settings)?;
        if self.stop.is_cancelled() {
            return Err(Error::ShutDown);
        }
        self.update(|jobs, now| {
            let numbers = jobs.submit_many(&task, count, now)?;
            Ok(numbers.into_iter().map(|number| submitted(jobs, number)).collect())
        })
    }

    /// Submits an ended task again. Returns its ids, and the job id of the first task that was retried.
    pub(crate) fn retry(&self, id: &str, params: Option<Box<RawValue>>) -> Result<(Submitted, JobId), Error> {
        if let Some(params) = &params {
            check_params(params)?;
        }
        if self.stop.is_cancelled() {
            return Err(Error::ShutDown);
        }
        let params = params.map(Arc::from);
        self.update(|jobs, now| {
            let Repeat { number, of } = jobs.repeat(id, params, now)?;
            Ok((submitted(jobs, number), jobs.store().names.job(of)))
        })
    }

    /// Records in the story of a task that a fault has hit a message about it, by job or task id.
    pub(crate) fn record_fault(&self, task_id: &str, name: &str) {
        self.update(|jobs, now| jobs.on_fault(task_id, name, now));
    }

    /// Returns the watch of the storage, which records in the stories of tasks when their files pass.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        let hub = self.clone();
        Watch::new(move |access| {
            let way = if access.is_write { Way::Outputs } else { Way::Inputs };
            hub.update(|jobs, now| jobs.on_transfer(way, access.bucket, access.key, access.began, now));
        })
    }

    pub(crate) fn view(&self, id: &str) -> Option<TaskView> {
        self.inspect(|jobs, _| jobs.store().find(id).map(|job| jobs.store().view(job)))
    }

    pub(crate) async fn wait(&self, id: &str) -> Result<TaskView, Error> {
        let mut end = {
            let mut state = self.lock();
            let store = state.jobs.store();
            let job = store.find(id).ok_or_else(|| Error::UnknownTask(crate::text::cut(id, 200)))?;
            if job.stage.status().is_ended() {
                return Ok(store.view(job));
            }
            let number = job.number;
            if state.feed.is_none() {
                return Err(Error::ShutDown);
            }
            state.waiters.entry(number).or_insert_with(|| watch::Sender::new(None)).subscribe()
        };
        let view = end.wait_for(Option::is_some).await.map_err(|_| Error::ShutDown)?.clone();
        view.ok_or(Error::ShutDown)
    }

    pub(crate) fn subscribe(&self) -> Feed {
        let state = self.lock();
        // The feed of a sender that is dropped at once has ended.
        Feed::new(
            state
                .feed
                .as_ref()
                .map_or_else(|| broadcast::Sender::new(1).subscribe(), broadcast::Sender::subscribe),
        )
    }

    pub(crate) fn publish(&self, event: Event) {
        self.live.note(&event);
        publish(&self.lock(), event);
    }

    /// Opens a poll. The receiver gets the task, possibly at once.
    pub(crate) fn open_poll(&self, worker: &WorkerId) -> (PollId, oneshot::Receiver<Assignment>) {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.last_poll += 1;
        let poll = PollId(state.last_poll);
        state.polls.insert(poll, sender);
        state.jobs.on_poll(poll, worker, Now::read());
        self.settle(&mut state);
        (poll, receiver)
    }

    /// Closes a poll: when this returns, its receiver either has a task or will never get one.
    pub(crate) fn close_poll(&self, poll: PollId) {
        let mut state = self.lock();
        state.polls.remove(&poll);
        state.jobs.on_poll_gone(poll);
    }

    /// Takes the websocket of a worker, and ends an older one. Returns its number, and the commands for the worker; the
    /// end of these means that a newer websocket has taken over. `None` if there are too many.
    pub(crate) fn open_line(&self, worker: &WorkerId) -> Option<(u64, mpsc::Receiver<Command>)> {
        let mut state = self.lock();
        if state.lines.len() >= MAX_LINES && !state.lines.contains_key(worker) {
            return None;
        }
        state.last_line += 1;
        let (line, (sender, commands)) = (state.last_line, mpsc::channel(MAX_COMMANDS));
        state.lines.insert(worker.clone(), (line, sender));
        state.jobs.on_websocket(worker, true);
        self.settle(&mut state);
        Some((line, commands))
    }

    /// Forgets the websocket of a worker, unless a newer one has taken over.
    pub(crate) fn close_line(&self, worker: &WorkerId, line: u64) {
        let mut state = self.lock();
        if state.lines.get(worker).is_some_and(|(current, _)| *current == line) {
            state.lines.remove(worker);
            state.jobs.on_websocket(worker, false);
            self.settle(&mut state);
        }
    }

    /// Performs timed actions when they are due, until the shutdown.
    pub(crate) async fn keep_time(&self) {
        loop {
            let wake = self.arm();
            let due = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.sooner.notified() => {}
                () = due => self.update(Jobs::on_time),
            }
        }
    }

    /// Ends all feeds and all waiting calls.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.feed = None;
        state.waiters.clear();
    }

    fn arm(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.armed = state.jobs.next_wake();
        state.armed
    }

    fn settle(&self, state: &mut State) {
        loop {
            let actions = state.jobs.take_actions();
            if actions.is_empty() {
                break;
            }
            for action in actions {
                if let Action::Publish(event) = &action {
                    self.live.note(event);
                }
                perform(state, action);
            }
        }
        if let Some(keeper) = &self.keeper {
            state.jobs.hand_over(keeper);
        }
        let wake = state.jobs.next_wake();
        if wake.is_some_and(|wake| state.armed.is_none_or(|armed| wake < armed)) {
            state.armed = wake;
            self.sooner.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn perform(state: &mut State, action: Action) {
    match action {
        Action::Hand(poll, assignment) => {
            let undelivered = match state.polls.remove(&poll) {
                Some(sender) => sender.send(assignment).err(),
                None => Some(assignment),
            };
            if let Some(assignment) = undelivered {
                state.jobs.on_undelivered(assignment.number, assignment.attempt, Now::read());
            }
        }
        Action::Publish(event) => publish(state, event),
        Action::Stop(worker, task_id, job_id) => {
            if let Some((_, commands)) = state.lines.get(&worker) {
                // A full channel belongs to a worker that does not read: its heartbeats tell it, too.
                let _ = commands.try_send(cancel_task(task_id, job_id));
            }
        }
        Action::Ended(number, view) => {
            if let Some(waiters) = state.waiters.remove(&number) {
                waiters.send_replace(Some(*view));
            }
        }
    }
}

fn submitted(jobs: &Jobs, number: u64) -> Submitted {
    let names = &jobs.store().names;
    Submitted { job_id: names.job(number), task_id: names.task(number, 1) }
}

fn cancel_task(task_id: TaskId, job_id: JobId) -> Command {
    Command {
        command: "cancel_task".to_owned(),
        task_id: Some(task_id),
        job_id: Some(job_id),
        params: None,
        metadata: None,
    }
}

fn publish(state: &State, event: Event) {
    if let Some(feed) = &state.feed {
        // An error means that there is no feed.
        let _ = feed.send(event);
    }
}
