//! Polls: the data path's side of a conversation.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use rxon::model::MalformedTask;
use rxon::transport::{PollQuery, Polled, Response, Transport, TransportExt};
use rxon::{Error, ErrorKind};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

mod under_way;

pub(crate) use self::under_way::OpenPolls;
use crate::capacity::Offer;
use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::slots::Slot;
use crate::execution::Executor;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::session::Session;
use crate::session::ends::Ends;
use crate::session::polling::{PollDecision, PollOutcome, Polling, PollingSettings};
use crate::threads::{lock, until};

/// A poll is given up this much after the orchestrator should have answered it.
const GRACE: Duration = Duration::from_secs(5);

/// A connection that ends this soon after a poll was written to it was closed before the poll arrived. One that ends
/// later took a poll with it that was held.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// Beyond its time limit a poll may take so long: for a connection, and for another token and a repetition.
const SLACK: Duration = Duration::from_secs(35);

/// How often it is looked whether a poll that nobody will answer is in the way of others.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The options of polls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollerSettings {
    /// `TASK_POLL_TIMEOUT`.
    pub(crate) poll_timeout: Duration,
    pub(crate) polling: PollingSettings,
}

/// All that poll one orchestrator. Each has a connection of its own, and takes a slot before it asks for a task.
#[derive(Debug)]
pub(crate) struct Pollers {
    session: Arc<Session>,
    offer: Arc<Offer>,
    executor: Arc<Executor>,
    ends: Ends,
    poll_timeout: Duration,
    polling: Mutex<Polling>,
    /// The connection of the poller that ended last, for the next that begins.
    spare: Mutex<Option<Box<dyn Transport>>>,
    /// A poller is gone.
    gone: Notify,
    tracker: TaskTracker,
    /// What is asked when everything can be accepted, which is nearly always.
    usual_query: Arc<PollQuery>,
    warned_of_hold: std::sync::Once,
}

impl Pollers {
    pub(crate) fn new(
        session: Arc<Session>,
        offer: Arc<Offer>,
        executor: Arc<Executor>,
        ends: Ends,
        settings: PollerSettings,
    ) -> Arc<Self> {
        let names: Vec<_> = offer.catalogue.names().cloned().collect();
        let gate = session.origin.peer.gate(Exchange::Poll).clone();
        let usual_query = Arc::new(PollQuery::new(settings.poll_timeout, &names, &[]));
        Arc::new(Self {
            session,
            offer,
            executor,
            ends,
            poll_timeout: settings.poll_timeout,
            polling: Mutex::new(Polling::new(settings.polling, gate, Rng::new())),
            spare: Mutex::default(),
            gone: Notify::new(),
            tracker: TaskTracker::new(),
            usual_query,
            warned_of_hold: std::sync::Once::new(),
        })
    }

    /// Keeps at least one poller alive while the orchestrator is to be polled, and waits for all of them at the end.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let stop = &self.ends.stop_asking;
        let mut polled = self.session.orchestrators.polled(self.session.origin.orchestrator);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Its sender lives as long as the worker.
                _ = polled.wait_for(|polled| *polled) => {}
            }
            if self.polling().begin_first() {
                self.begin();
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.gone.notified() => {}
            }
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Starts a poller in the seat that is reserved for it.
    fn begin(self: &Arc<Self>) {
        let seat = PollerSeat::new(self.clone());
        self.tracker.spawn(self.clone().poll(seat));
    }

    async fn poll(self: Arc<Self>, mut own_seat: PollerSeat) {
        let spare = lock(&self.spare).take();
        let mut transport = spare.unwrap_or_else(|| self.session.origin.peer.connector.transport());
        let mut repeated = false;
        let mut polled = self.session.orchestrators.polled(self.session.origin.orchestrator);
        // Seen up to the poll that was sent last: its orchestrator may be back before that poll's failure is dealt with.
        let mut returns = self.session.orchestrators.returns(self.session.origin.orchestrator);
        loop {
            let turn = tokio::select! {
                biased;
                // It is not to be polled any more: another takes its place.
                _ = polled.wait_for(|polled| !*polled) => None,
                turn = self.turn(&mut returns) => turn,
            };
            let Some((slot, sent)) = turn else {
                own_seat.ends_by_itself = true;
                return;
            };
            let limit = self.poll_timeout + GRACE;
            let under_way = self.session.polls.begin(limit + SLACK);
            let polled = tokio::select! {
                biased;
                polled = tokio::time::timeout(limit + SLACK, transport.poll(self.query(), limit)) => {
                    let Ok(polled) = polled else {
                        tracing::error!(
                            orchestrator = %self.session.origin.peer.name,
                            "a poll hangs: not even its time limit has ended it"
                        );
                        return;
                    };
                    polled
                }
                () = self.ends.let_go.cancelled() => {
                    own_seat.ends_by_itself = true;
                    return;
                }
                () = self.is_in_the_way() => {
                    own_seat.ends_by_itself = true;
                    return;
                }
            };
            drop(under_way);
            let now = Instant::now();
            // The peer closed the connection just as it was to be used again: no fault of anybody's. Once, because a
            // fresh connection that ends like that is one.
            repeated = !repeated && is_stale(&polled, now - sent);
            if repeated {
                self.session.origin.peer.note_doubt();
                continue;
            }
            if !matches!(polled, Ok(Polled::Task(..))) {
                self.offer.slots.on_no_task(OrchestratorIndex(self.session.origin.orchestrator));
            }
            match self.on_polled(polled, sent, now, slot) {
                PollDecision::Continue => {}
                PollDecision::Grow => self.begin(),
                PollDecision::End => {
                    own_seat.is_held = false;
                    own_seat.ends_by_itself = true;
                    *lock(&self.spare) = Some(transport);
                    return;
                }
            }
        }
    }

    /// Waits until an open poll is in the way: nobody is there to answer it, and another orchestrator waits for its slot.
    async fn is_in_the_way(&self) {
        let who = self.session.origin.orchestrator;
        let mut unreachable = self.session.orchestrators.unreachable(who);
        loop {
            // Its sender lives as long as the worker.
            let _ = unreachable.wait_for(|unreachable| *unreachable).await;
            if self.offer.slots.is_in_the_way(OrchestratorIndex(who)) {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until a poll may be sent, and holds a slot for what it may bring. The poll is counted, as sent at the time
    /// that is given. None when no more are to be sent.
    async fn turn(&self, returns: &mut watch::Receiver<u64>) -> Option<(Slot, Instant)> {
        let stop = &self.ends.stop_asking;
        loop {
            let pause = self.polling().wait_until(Instant::now());
            let slot = async {
                if pause.is_some() {
                    tokio::select! {
                        () = until(pause) => {}
                        // That polls are refused while heartbeats are answered is no return. Its sender lives as
                        // long as the worker.
                        _ = returns.changed() => self.polling().on_back(),
                    }
                }
                self.session.origin.delivery.room().await;
                self.offer.disk.room().await;
                self.offer.slots.acquire(OrchestratorIndex(self.session.origin.orchestrator)).await
            };
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                slot = slot => slot,
            };
            // While this one waited, another poller may have been told to wait, and results may have piled up.
            let now = Instant::now();
            if self.session.origin.delivery.has_room() && self.polling().may_send(now) {
                self.offer.slots.on_poll_sent(OrchestratorIndex(self.session.origin.orchestrator));
                returns.mark_unchanged();
                return Some((slot, now));
            }
        }
    }

    fn query(&self) -> Arc<PollQuery> {
        let Some(offer) = self.offer.for_poll() else { return self.usual_query.clone() };
        Arc::new(PollQuery::new(self.poll_timeout, &offer.accepted, &offer.hot_skills))
    }

    /// Handles the answer to a poll that was sent at the time `sent`, or the lack of one.
    fn on_polled(
        &self,
        polled: Result<Polled, Error>,
        sent: Instant,
        now: Instant,
        slot: Slot,
    ) -> PollDecision {
        let outcome = match polled {
            Ok(Polled::Task(task, body)) => {
                self.record(&Answer::Good, sent);
                if self.executor.accept(&self.session.origin, *task, &body, slot) {
                    self.brought_task()
                } else {
                    PollOutcome::KnownTask
                }
            }
            Ok(Polled::Nothing) => {
                self.record(&Answer::Good, sent);
                PollOutcome::Nothing
            }
            Ok(Polled::Malformed { problem, excerpt }) => self.on_malformed(problem, &excerpt, sent),
            Ok(Polled::Refused(response)) => self.on_refused(&response, sent),
            Err(error) => {
                if error.kind() == ErrorKind::Timeout {
                    self.warned_of_hold.call_once(|| {
                        tracing::warn!(
                            orchestrator = %self.session.origin.peer.name,
                            "a poll was not answered within `TASK_POLL_TIMEOUT` and 5 s: the orchestrator may hold \
                             polls longer, and tasks that it dispatches to an abandoned poll are lost; raise \
                             `TASK_POLL_TIMEOUT`"
                        );
                    });
                }
                self.record(&Answer::Nothing(&error), sent);
                return self.polling().on_error(sent, now);
            }
        };
        let stride = self.offer.slots.stride(OrchestratorIndex(self.session.origin.orchestrator));
        self.polling().on_answer(outcome, stride, sent, now)
    }

    /// The outcome of a poll that brought a new task.
    fn brought_task(&self) -> PollOutcome {
        let pollers = self.polling().pollers();
        let share = self.offer.slots.on_task(OrchestratorIndex(self.session.origin.orchestrator), pollers);
        PollOutcome::Task { free_slots: self.offer.slots.free(), share }
    }

    /// Records the answer to a poll that was sent at the time `sent`. Polls that were under way together and failed give
    /// a single sign.
    fn record(&self, answer: &Answer<'_>, sent: Instant) {
        let Some(contact) = self.session.origin.peer.record(Exchange::Poll, answer) else { return };
        if contact != Contact::Failed || self.polling().is_new_failure(sent) {
            self.session.on_contact(contact);
        }
    }

    fn on_malformed(&self, problem: MalformedTask, excerpt: &str, sent: Instant) -> PollOutcome {
        let peer = &self.session.origin.peer;
        tracing::error!(orchestrator = %peer.name, body = excerpt, "not a task: {problem}");
        let Some((job_id, task_id)) = problem.ids else {
            let answer = Answer::Failed(problem.to_string());
            if excerpt.trim_start().starts_with('{') {
                // A malformed task gives no sign: only an answer that is not an object is not from an orchestrator.
                let _ = peer.record(Exchange::Poll, &answer);
            } else {
                self.record(&answer, sent);
            }
            return PollOutcome::Error;
        };
        let _ = peer.record(Exchange::Poll, &Answer::Good);
        if self.executor.refuse(&self.session.origin, job_id, task_id, &problem.problem) {
            self.brought_task()
        } else {
            PollOutcome::KnownTask
        }
    }

    fn on_refused(&self, response: &Response, sent: Instant) -> PollOutcome {
        let answer = Answer::of_refusal(response);
        self.record(&answer, sent);
        match answer {
            Answer::TooMany(_) => PollOutcome::RateLimited,
            Answer::Unauthorized(_) => PollOutcome::Unauthorized,
            _ => PollOutcome::Error,
        }
    }

    fn polling(&self) -> MutexGuard<'_, Polling> {
        lock(&self.polling)
    }
}

/// The seat of a poller, which is free again however the poller ends.
struct PollerSeat {
    pollers: Arc<Pollers>,
    /// False once the decision that the poller ends has released it.
    is_held: bool,
    /// False for one that panics.
    ends_by_itself: bool,
}

impl PollerSeat {
    /// A seat that was reserved.
    fn new(pollers: Arc<Pollers>) -> Self {
        pollers.session.pollers.send_modify(|pollers| *pollers += 1);
        Self { pollers, is_held: true, ends_by_itself: false }
    }
}

impl Drop for PollerSeat {
    fn drop(&mut self) {
        let session = &self.pollers.session;
        if !self.ends_by_itself {
            tracing::error!(orchestrator = %session.origin.peer.name, "a poller died: another takes its place");
            self.pollers.polling().on_died(Instant::now());
        }
        if self.is_held {
            self.pollers.polling().on_gone();
            self.pollers.gone.notify_one();
        }
        session.pollers.send_modify(|pollers| *pollers -= 1);
    }
}

fn is_stale(polled: &Result<Polled, Error>, took: Duration) -> bool {
    took < STALE_WITHIN && polled.as_ref().is_err_and(Error::is_stale_connection)
}

#[cfg(test)]
pub(crate) mod tests;
