//! Polls: the data path's side of a conversation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rxon::model::MalformedTask;
use rxon::transport::{PollQuery, Polled, Response, Transport, TransportExt};
use rxon::{Error, ErrorKind};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::driver::Ends;
use super::polling::{Next, Polling};
use super::{Asked, Session};
use crate::core::Core;
use crate::execution;
use crate::slots::Slot;

/// A poll is given up this much after the orchestrator should have answered it.
const GRACE: Duration = Duration::from_secs(5);

/// How often a full outbox is looked at.
const FULL_OUTBOX_INTERVAL: Duration = Duration::from_millis(250);

/// All that poll one orchestrator. Each has a connection of its own, and takes a slot before it asks for a task.
#[derive(Debug)]
pub(crate) struct Pollers {
    core: Arc<Core>,
    session: Arc<Session>,
    ends: Ends,
    polling: Mutex<Polling>,
    /// Connections of pollers that ended, for the next ones.
    spare: Mutex<Vec<Box<dyn Transport>>>,
    /// A poller is gone.
    gone: Notify,
    tracker: TaskTracker,
    /// What is asked when everything can be accepted, which is nearly always.
    usual_query: Arc<PollQuery>,
    warned_of_hold: std::sync::Once,
}

impl Pollers {
    pub(crate) fn new(core: Arc<Core>, session: Arc<Session>, ends: Ends, polling: Polling) -> Arc<Self> {
        let names: Vec<_> = core.router.names().cloned().collect();
        let usual_query = Arc::new(PollQuery::new(core.config.task_poll_timeout, &names, &[]));
        Arc::new(Self {
            core,
            session,
            ends,
            polling: Mutex::new(polling),
            spare: Mutex::default(),
            gone: Notify::new(),
            tracker: TaskTracker::new(),
            usual_query,
            warned_of_hold: std::sync::Once::new(),
        })
    }

    /// Keeps at least one poller alive, and waits for all of them at the end.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let stop = &self.ends.stop_asking;
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.session.peer.until_registered() => {}
        }
        self.begin();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.gone.notified() => {}
            }
            if self.polling().pollers() == 0 && !stop.is_cancelled() {
                tracing::error!(orchestrator = %self.session.peer.name, "the last poller died; another takes its place");
                self.begin();
            }
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn begin(self: &Arc<Self>) {
        self.polling().on_begin();
        self.tracker.spawn(self.clone().poll());
    }

    async fn poll(self: Arc<Self>) {
        // However it ends, its place is free.
        let _gone = Gone(&self);
        let spare = lock(&self.spare).pop();
        let mut transport = spare.unwrap_or_else(|| self.session.peer.connector.transport());
        while let Some(slot) = self.turn().await {
            let sent = Instant::now();
            self.polling().on_sent(sent);
            let limit = self.core.config.task_poll_timeout + GRACE;
            let polled = tokio::select! {
                biased;
                polled = transport.poll(self.query(), limit) => polled,
                () = self.ends.let_go.cancelled() => return,
            };
            match self.polled(polled, sent, slot) {
                Next::Continue => {}
                Next::Grow => self.begin(),
                Next::End => break,
            }
        }
        lock(&self.spare).push(transport);
    }

    /// Waits until a poll may be sent, and holds a slot for what it may bring. None when no more are to be sent.
    async fn turn(&self) -> Option<Slot> {
        let stop = &self.ends.stop_asking;
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let pause = self.polling().wait_until(Instant::now());
            let full = !self.session.delivery.has_room();
            let pause = if full { Some(Instant::now() + FULL_OUTBOX_INTERVAL).max(pause) } else { pause };
            if let Some(until) = pause {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep_until(until) => continue,
                }
            }
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                slot = self.core.slots.acquire() => slot,
            };
            // While this one waited for a slot, another poller may have been told to wait.
            if self.polling().wait_until(Instant::now()).is_none() {
                return Some(slot);
            }
        }
    }

    fn query(&self) -> Arc<PollQuery> {
        let usage = self.core.slots.usage();
        let hot = self.core.hot_skills();
        if hot.is_none() && usage.groups_open.iter().all(|open| *open) {
            return self.usual_query.clone();
        }
        // The slot of this poll is open, so that only groups decide.
        let accepted = self.core.router.accepted(&usage);
        Arc::new(PollQuery::new(self.core.config.task_poll_timeout, &accepted, &hot.unwrap_or_default()))
    }

    fn polled(&self, polled: Result<Polled, Error>, sent: Instant, slot: Slot) -> Next {
        let now = Instant::now();
        let peer = &self.session.peer;
        match polled {
            Ok(Polled::Task(task)) => {
                peer.log.answered(Asked::Poll);
                execution::accept(&self.core, &self.session, *task, slot);
                let free = self.core.slots.free();
                self.polling().on_task(sent, now, free)
            }
            Ok(Polled::Nothing) => {
                peer.log.answered(Asked::Poll);
                self.polling().on_empty(sent, now)
            }
            Ok(Polled::Malformed { problem, excerpt }) => self.malformed(problem, &excerpt, sent, now),
            Ok(Polled::Refused(response)) => self.refused(&response, sent, now),
            Err(error) => {
                if error.kind() == ErrorKind::Timeout {
                    self.warned_of_hold.call_once(|| {
                        tracing::warn!(
                            orchestrator = %peer.name,
                            "a poll was not answered within `TASK_POLL_TIMEOUT` and 5 s: the orchestrator may hold \
                             polls longer, and tasks it hands to one that was given up are lost; raise \
                             `TASK_POLL_TIMEOUT`"
                        );
                    });
                }
                peer.connection_failed();
                peer.log.failed(Asked::Poll, &error.chain());
                self.polling().on_error(sent, now)
            }
        }
    }

    fn malformed(&self, problem: MalformedTask, excerpt: &str, sent: Instant, now: Instant) -> Next {
        let orchestrator = &self.session.peer.name;
        tracing::error!(%orchestrator, body = excerpt, "not a task: {problem}");
        if let Some((job_id, task_id)) = problem.ids {
            execution::refuse(&self.core, &self.session, job_id, task_id, &problem.problem);
            self.polling().on_task(sent, now, 0)
        } else {
            self.session.peer.log.failed(Asked::Poll, &problem);
            self.polling().on_error(sent, now)
        }
    }

    fn refused(&self, response: &Response, sent: Instant, now: Instant) -> Next {
        let peer = &self.session.peer;
        match response.status {
            429 => {
                let (first, next) = self.polling().on_rate_limited(now, response.retry_after);
                if first {
                    super::say_rate_limited(&peer.name, "polls");
                }
                next
            }
            401 | 403 => {
                peer.log.refused(Asked::Poll, response);
                self.polling().on_unauthorized(now)
            }
            status => {
                if status == 404 {
                    peer.was_forgotten();
                }
                peer.log.failed(Asked::Poll, &format!("{status}: {}", response.error_text()));
                self.polling().on_error(sent, now)
            }
        }
    }

    fn polling(&self) -> MutexGuard<'_, Polling> {
        lock(&self.polling)
    }
}

struct Gone<'a>(&'a Pollers);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.polling().on_gone();
        self.0.gone.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
