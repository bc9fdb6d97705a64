//! Polls: the data path's side of a conversation.

mod ends;
mod open;
mod recent;

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use rxon::Error;
use rxon::limit::Alarm;
use rxon::model::MalformedTask;
use rxon::transport::{PollQuery, Polled, Response, Transport, TransportExt};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::ends::{end_of, say};
pub(crate) use self::open::OpenPolls;
use self::open::hangs;
use self::recent::Recent;
use crate::capacity::slots::Slot;
use crate::capacity::{Offer, PollBasis};
use crate::execution::Executor;
use crate::peer::answer::{Answer, Contact, Exchange};
use crate::peer::log::{FailureLine, in_seconds};
use crate::session::polling::{PollDecision, PollOutcome, Polling, PollingSettings};
use crate::session::{Ends, Session};
use crate::threads::{lock, until};

/// A reused connection that ends this soon after a poll was written to it was closed before the poll arrived. If it ends
/// later, the orchestrator had received the poll.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// The time between two checks whether a poll to an unreachable orchestrator holds a slot that others wait for.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The pollers of one orchestrator. Each has a connection of its own, and takes a slot before it asks for a task.
#[derive(Debug)]
pub(crate) struct Pollers {
    session: Arc<Session>,
    offer: Arc<Offer>,
    executor: Arc<Executor>,
    ends: Ends,
    polling: Mutex<Polling>,
    /// The connection of the poller that ended last, for the next one that begins.
    spare: Mutex<Option<Box<dyn Transport>>>,
    /// Notified when a poller ended without a decision.
    gone: Notify,
    tracker: TaskTracker,
    /// The queries of the last polls: nearly always one of them is that of the next one, too. Made from the state of the
    /// worker and the time for which the orchestrator is asked to hold the poll.
    queries: Mutex<Recent<(PollBasis, Duration), Arc<PollQuery>>>,
}

impl Pollers {
    pub(crate) fn new(
        session: Arc<Session>,
        offer: Arc<Offer>,
        executor: Arc<Executor>,
        ends: Ends,
        settings: PollingSettings,
    ) -> Arc<Self> {
        let gate = session.origin.peer.gate(Exchange::Poll).clone();
        Arc::new(Self {
            session,
            offer,
            executor,
            ends,
            polling: Mutex::new(Polling::new(settings, gate, Rng::new())),
            spare: Mutex::default(),
            gone: Notify::new(),
            tracker: TaskTracker::new(),
            queries: Mutex::new(Recent::new()),
        })
    }

    /// Keeps at least one poller alive while the orchestrator is to be polled. At the end, waits for all of them.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let stop = &self.ends.stop_asking;
        let mut polled = self.session.member().polled.subscribe();
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

    /// Starts a poller, which the schedule has counted already.
    fn begin(self: &Arc<Self>) {
        let seat = PollerSeat::new(self.clone());
        self.tracker.spawn(self.clone().poll(seat));
    }

    async fn poll(self: Arc<Self>, mut own_seat: PollerSeat) {
        let spare = lock(&self.spare).take();
        let mut transport = spare.unwrap_or_else(|| self.session.origin.peer.connector.transport());
        let mut repeated = false;
        // Seen up to the last poll sent: the orchestrator may be back before that poll's failure is dealt with.
        let mut returns = self.session.member().returns.subscribe();
        // Awaited for as long as the poller lives: to begin these waits anew with each poll would cost more than the poll.
        let mut stopped = pin!(self.stopped());
        let mut in_vain = pin!(self.in_vain());
        let mut alarm = Alarm::default();
        loop {
            let turn = match self.turn(&mut returns, stopped.as_mut()).await {
                Some(Turn::Poll(turn)) => turn,
                Some(Turn::Leave) => return self.leave(own_seat, transport),
                None => return own_seat.has_ended = true,
            };
            let PollTurn { slot, sent, limit, asked } = turn;
            let open_poll = self.session.open_polls.begin(sent, limit);
            let polled = tokio::select! {
                biased;
                polled = transport.poll(self.query(asked), limit) => polled,
                () = &mut in_vain => return own_seat.has_ended = true,
                () = hangs(&mut alarm, sent, limit) => {
                    return tracing::error!(
                        orchestrator = %self.session.origin.peer.name,
                        "a poll hangs: not even its time limit has ended it"
                    );
                }
            };
            drop(open_poll);
            let now = Instant::now();
            // The orchestrator closed the idle connection just before: not an error. It is one on a fresh connection, so
            // the poll is repeated only once.
            repeated = !repeated && is_stale(&polled, now - sent);
            if repeated {
                self.session.origin.peer.note_doubt();
                continue;
            }
            if !matches!(polled, Ok(Polled::Task(..))) {
                self.offer.slots.on_no_task(self.session.origin.orchestrator);
            }
            match self.on_polled(polled, sent, now, slot) {
                PollDecision::Continue => {}
                PollDecision::Grow => self.begin(),
                PollDecision::End => return self.leave(own_seat, transport),
            }
        }
    }

    /// Ends a poller that the schedule does not count any more.
    fn leave(&self, mut own_seat: PollerSeat, transport: Box<dyn Transport>) {
        (own_seat.is_counted, own_seat.has_ended) = (false, true);
        *lock(&self.spare) = Some(transport);
    }

    /// Waits until no more polls are to be sent: the worker ends, or another orchestrator takes the place of this one.
    async fn stopped(&self) {
        let mut polled = self.session.member().polled.subscribe();
        tokio::select! {
            biased;
            () = self.ends.stop_asking.cancelled() => {}
            // Its sender lives as long as the worker.
            _ = polled.wait_for(|polled| !*polled) => {}
        }
    }

    /// Whether [`stopped`](Self::stopped) would end at once.
    fn is_stopped(&self) -> bool {
        self.ends.stop_asking.is_cancelled() || !*self.session.member().polled.borrow()
    }

    /// Waits until an open poll is to be abandoned: the worker ends, or the poll is in the way.
    async fn in_vain(&self) {
        tokio::select! {
            biased;
            () = self.ends.abandon_polls.cancelled() => {}
            () = self.is_in_the_way() => {}
        }
    }

    /// Waits until an open poll is in the way: its orchestrator cannot be reached, and another one waits for its slot.
    async fn is_in_the_way(&self) {
        let mut unreachable = self.session.member().unreachable.subscribe();
        loop {
            // Its sender lives as long as the worker.
            let _ = unreachable.wait_for(|unreachable| *unreachable).await;
            if self.offer.slots.is_in_the_way(self.session.origin.orchestrator) {
                return;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Waits until a poll may be sent, and takes a slot for the task it may return. Counts the poll as sent at the time
    /// that is returned. Returns `None` if no more polls are to be sent.
    async fn turn(
        &self,
        returns: &mut watch::Receiver<u64>,
        mut stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<Turn> {
        let (slots, origin) = (&self.offer.slots, &self.session.origin);
        let mut now = Instant::now();
        loop {
            let pause = self.polling().wait_until(now);
            tracing::debug!(orchestrator = %origin.peer.name, "{}", self.next_poll(pause));
            let slot = async {
                if pause.is_some() {
                    tokio::select! {
                        () = until(pause) => {}
                        // The count does not change while polls are refused but heartbeats answered. Its sender lives as
                        // long as the worker.
                        _ = returns.changed() => self.polling().on_back(),
                    }
                }
                origin.delivery.room().await;
                self.offer.disk.room().await;
                slots.acquire(origin.orchestrator).await
            };
            let slot = tokio::select! {
                biased;
                slot = slot => slot,
                () = stopped.as_mut() => return None,
            };
            // Meanwhile the end may have come, another poller may have been told to pause, and results may have piled up.
            if self.is_stopped() {
                return None;
            }
            now = Instant::now();
            let limits = {
                let mut polling = self.polling();
                if polling.on_slot(|| slots.free()) == PollDecision::End {
                    return Some(Turn::Leave);
                }
                (origin.delivery.has_room() && polling.may_send(now)).then(|| polling.limits())
            };
            if let Some((limit, asked)) = limits {
                slots.on_poll_sent(origin.orchestrator);
                returns.mark_unchanged();
                return Some(Turn::Poll(PollTurn { slot, sent: now, limit, asked }));
            }
        }
    }

    /// Says for the log when the next poll is sent, or why none is.
    fn next_poll(&self, pause: Option<Instant>) -> String {
        let now = Instant::now();
        let waiting = |why: &str, until: Instant| {
            format!("no poll for {}: {why}", in_seconds(until.saturating_duration_since(now)))
        };
        let silent_until = self.session.origin.peer.gate(Exchange::Poll).closed_until(now);
        if let Some(until) = silent_until {
            return waiting("silence because of the orchestrator's rate limit (429)", until);
        }
        if let Some(until) = pause.filter(|until| *until > now) {
            return waiting("a pause after the last answer", until);
        }
        if !self.session.origin.delivery.has_room() {
            return "no poll: too many results wait to be sent".to_owned();
        }
        if self.offer.disk.is_low() {
            return "no poll: a disk is full".to_owned();
        }
        match self.offer.slots.free() {
            0 => "no poll until a slot is free".to_owned(),
            free => format!("polling: {free} slots are free"),
        }
    }

    fn query(&self, asked: Duration) -> Arc<PollQuery> {
        // Taken first: a change meanwhile makes the next query differ.
        let state = (self.offer.poll_basis(), asked);
        if let Some(query) = lock(&self.queries).get(&state) {
            return query;
        }
        // Without the lock, as it takes long with thousands of tasks.
        let offer = self.offer.for_poll(&state.0);
        let query = Arc::new(PollQuery::new(asked, &offer.accepted, &offer.hot_skills));
        lock(&self.queries).keep(state, query.clone());
        query
    }

    /// Handles the answer to a poll that was sent at the time `sent`, or the lack of one.
    fn on_polled(
        &self,
        polled: Result<Polled, Error>,
        sent: Instant,
        now: Instant,
        slot: Slot,
    ) -> PollDecision {
        let Session { origin, .. } = &*self.session;
        let end = end_of(&polled, || origin.peer.answers_since(sent));
        let (outcome, line) = match polled {
            Ok(Polled::Task(task, body)) => {
                let line = self.record(&Answer::Good, sent);
                let is_new = self.executor.accept(origin, task, &body, slot, now);
                (self.outcome_of_task(is_new), line)
            }
            Ok(Polled::Nothing) => (PollOutcome::Nothing, self.record(&Answer::Good, sent)),
            Ok(Polled::Malformed { problem, excerpt, is_object }) => {
                self.on_malformed(problem, &excerpt, is_object, sent)
            }
            Ok(Polled::Refused(response)) => self.on_refused(&response, sent),
            Err(error) => (PollOutcome::NoAnswer, self.record(&Answer::Nothing(&error), sent)),
        };
        tracing::debug!(
            orchestrator = %origin.peer.name, ?outcome, seconds = (now - sent).as_secs_f64(), "poll ended"
        );
        let stride = self.offer.slots.stride(origin.orchestrator);
        let (lesson, decision) = {
            let mut polling = self.polling();
            (polling.on_end(end, sent, now), polling.on_answer(outcome, stride, sent, now))
        };
        line.again_with(|| self.polling().wait_until(now));
        if let Some(lesson) = lesson {
            say(lesson, &origin.peer.name);
        }
        decision
    }

    fn outcome_of_task(&self, is_new: bool) -> PollOutcome {
        if !is_new {
            return PollOutcome::KnownTask;
        }
        let pollers = || self.polling().pollers();
        let (share, free_slots) = self.offer.slots.on_task(self.session.origin.orchestrator, pollers);
        PollOutcome::Task { free_slots, share }
    }

    /// Records the answer to a poll that was sent at the time `sent`. Polls that were under way together and failed count
    /// as a single contact. Returns the line about a failure.
    fn record(&self, answer: &Answer<'_>, sent: Instant) -> FailureLine {
        let Session { fleet, origin, .. } = &*self.session;
        let (contact, line) = origin.peer.record(Exchange::Poll, answer);
        fleet.on_exchange(origin.orchestrator, Exchange::Poll, matches!(answer, Answer::Good));
        if let Some(contact) = contact
            && (contact != Contact::Failed || self.polling().is_new_failure(sent))
        {
            self.session.on_contact(contact);
        }
        line
    }

    fn on_malformed(
        &self,
        problem: MalformedTask,
        excerpt: &str,
        is_object: bool,
        sent: Instant,
    ) -> (PollOutcome, FailureLine) {
        let peer = &self.session.origin.peer;
        tracing::error!(orchestrator = %peer.name, body = excerpt, "not a task: {problem}");
        let Some((job_id, task_id)) = problem.ids else {
            let answer = Answer::Failed(problem.to_string());
            let line = if is_object {
                // A malformed task is not a contact: any object may come from an orchestrator.
                peer.record(Exchange::Poll, &answer).1
            } else {
                self.record(&answer, sent)
            };
            return (PollOutcome::Error, line);
        };
        let (_, line) = peer.record(Exchange::Poll, &Answer::Good);
        let is_new = self.executor.refuse(&self.session.origin, job_id, task_id, &problem.problem);
        (self.outcome_of_task(is_new), line)
    }

    fn on_refused(&self, response: &Response, sent: Instant) -> (PollOutcome, FailureLine) {
        let answer = Answer::of_refusal(response);
        let line = self.record(&answer, sent);
        let outcome = match answer {
            Answer::TooMany(_) => PollOutcome::RateLimited,
            Answer::Unauthorized(_) => PollOutcome::Unauthorized,
            _ => PollOutcome::Error,
        };
        (outcome, line)
    }

    fn polling(&self) -> MutexGuard<'_, Polling> {
        lock(&self.polling)
    }
}

/// The end of a poller's wait for its turn.
enum Turn {
    /// A poll is sent.
    Poll(PollTurn),
    /// The slot has to stay free: the poller ends, and is not counted any more.
    Leave,
}

/// The right to send one poll.
struct PollTurn {
    /// The slot for the task that the poll may return.
    slot: Slot,
    sent: Instant,
    /// The time after which the poll is given up.
    limit: Duration,
    /// The time for which the orchestrator is asked to hold it.
    asked: Duration,
}

/// The seat of a poller, which is given back however the poller ends.
struct PollerSeat {
    pollers: Arc<Pollers>,
    /// False once the schedule has decided that the poller ends.
    is_counted: bool,
    /// False while the poller runs, and so if it panics or hangs.
    has_ended: bool,
}

impl PollerSeat {
    fn new(pollers: Arc<Pollers>) -> Self {
        pollers.session.pollers.send_modify(|pollers| *pollers += 1);
        Self { pollers, is_counted: true, has_ended: false }
    }
}

impl Drop for PollerSeat {
    fn drop(&mut self) {
        let session = &self.pollers.session;
        if !self.has_ended {
            tracing::error!(orchestrator = %session.origin.peer.name, "a poller died: another takes its place");
            self.pollers.polling().on_died(Instant::now());
        }
        if self.is_counted {
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
