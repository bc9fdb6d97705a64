//! The right to run tasks: one limit for all, and one for each limit group.
//!
//! A [`Slot`] is acquired before a poll, so that a task that arrives can always start. Only a task whose group is full
//! has to wait; as many waiting tasks as there are slots give their slots back while they wait.
//!
//! | state of a task | counts towards the limit of all | towards its group's |
//! |---|---|---|
//! | asked for (a poll is open) | yes | no |
//! | runs | yes | yes |
//! | waits for its group | only if more tasks wait than there are slots | no |
//!
//! When polls of several orchestrators wait for a slot, [`Turns`] decides which is next.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::capacity::orchestrator_index::OrchestratorIndex;
use crate::capacity::turns::{Share, Turns};
use crate::threads::lock;

/// The index of a limit group.
pub(crate) type Group = usize;

/// The order of waiting tasks: higher priority first, then by arrival.
type Order = (Reverse<Priority>, u64);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Priority(f64);

impl Eq for Priority {}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// All slots of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    state: Mutex<SlotsState>,
    /// For each orchestrator, notified when it may be its turn to take a slot.
    turn: Vec<Notify>,
    limit: usize,
}

/// The slots in use at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The number of running tasks.
    pub(crate) running: usize,
    /// The number of tasks that wait for their group.
    pub(crate) waiting: usize,
    /// The number of slots without a task: free, or held by an open poll.
    pub(crate) open: usize,
    /// For each group, true if one more of its tasks could start now.
    pub(crate) groups_open: Vec<bool>,
}

#[derive(Debug)]
struct SlotsState {
    free: usize,
    turns: Turns,
    /// The number of running tasks of all groups and of none.
    running: usize,
    /// The number of waiting tasks that hold no slot: at most as many as there are slots.
    parked: usize,
    groups: Vec<GroupState>,
    arrivals: u64,
}

#[derive(Debug)]
struct GroupState {
    limit: usize,
    running: usize,
    waiting: BTreeMap<Order, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    has_slot: bool,
    wake: oneshot::Sender<()>,
}

impl SlotsState {
    /// Starts as many waiting tasks as slots and groups allow, the most urgent of all groups first.
    fn start_waiting(&mut self) {
        loop {
            let best = self
                .groups
                .iter()
                .enumerate()
                .filter(|(_, group)| group.running < group.limit)
                .filter_map(|(index, group)| {
                    let (order, waiter) = group.waiting.first_key_value()?;
                    (waiter.has_slot || self.free > 0).then_some((*order, index))
                })
                .min();
            let Some((order, index)) = best else { return };
            let group = &mut self.groups[index];
            let waiter = group.waiting.remove(&order).expect("it was found one line above");
            group.running += 1;
            self.running += 1;
            if !waiter.has_slot {
                self.free -= 1;
                self.parked -= 1;
            }
            // If the task no longer waits, dropping its permit gives everything back.
            let _ = waiter.wake.send(());
        }
    }
}

impl Slots {
    /// Creates `limit` slots and groups with these limits, for polls that take these turns.
    pub(crate) fn new(limit: usize, group_limits: &[usize], turns: Turns) -> Arc<Self> {
        let groups = group_limits
            .iter()
            .map(|limit| GroupState { limit: *limit, running: 0, waiting: BTreeMap::new() })
            .collect();
        let turn = (0..turns.len()).map(|_| Notify::new()).collect();
        let state = SlotsState { free: limit, turns, running: 0, parked: 0, groups, arrivals: 0 };
        Arc::new(Self { state: Mutex::new(state), turn, limit })
    }

    /// The number of slots.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Waits until a poll of this orchestrator gets a slot.
    ///
    /// # Cancel safety
    /// Nothing is taken before it returns.
    pub(crate) async fn acquire(self: &Arc<Self>, orchestrator: OrchestratorIndex) -> Slot {
        let first = {
            let mut state = self.lock();
            state.turns.wish(orchestrator, Instant::now());
            self.take(&mut state, orchestrator)
        };
        if let Some(slot) = first {
            return slot;
        }
        let wish = Wish { slots: self, orchestrator };
        loop {
            self.turn[orchestrator.0].notified().await;
            let slot = self.take(&mut self.lock(), orchestrator);
            if let Some(slot) = slot {
                // The poller has left the line with its slot.
                std::mem::forget(wish);
                return slot;
            }
        }
    }

    /// Takes a slot for a poller that waits in line, if it is its turn.
    fn take(self: &Arc<Self>, state: &mut SlotsState, orchestrator: OrchestratorIndex) -> Option<Slot> {
        if state.turns.next(state.free) != Some(orchestrator) {
            // The order may have changed since this poller was notified: notify the one that is next now.
            self.wake(state);
            return None;
        }
        state.turns.withdraw(orchestrator);
        state.free -= 1;
        // Several slots can become free while one notification is on its way: pass it on.
        self.wake(state);
        Some(Slot { slots: Some(self.clone()) })
    }

    /// Notifies the orchestrator that can take a slot next.
    fn wake(&self, state: &SlotsState) {
        if let Some(orchestrator) = state.turns.next(state.free) {
            self.turn[orchestrator.0].notify_one();
        }
    }

    /// Records that a poll was sent to this orchestrator, which uses its turn.
    pub(crate) fn on_poll_sent(&self, orchestrator: OrchestratorIndex) {
        if self.turn.len() > 1 {
            self.lock().turns.on_poll_sent(orchestrator);
        }
    }

    /// Records that a poll of this orchestrator, which has this many pollers, returned a task. Returns its share of pollers,
    /// and the number of free slots.
    pub(crate) fn on_task(
        &self,
        orchestrator: OrchestratorIndex,
        pollers: impl FnOnce() -> usize,
    ) -> (Share, usize) {
        if self.turn.len() == 1 {
            return (Share::Less, self.free());
        }
        let pollers = pollers();
        let mut state = self.lock();
        let share = match state.turns.on_task(orchestrator, pollers, Instant::now()) {
            // More pollers than slots could never all be used.
            Share::Lacking if pollers >= self.limit => Share::Less,
            share => share,
        };
        (share, state.free)
    }

    /// Records that a poll of this orchestrator returned no task.
    pub(crate) fn on_no_task(&self, orchestrator: OrchestratorIndex) {
        if self.turn.len() > 1 {
            self.lock().turns.on_no_task(orchestrator);
        }
    }

    /// The pause of this orchestrator after an empty answer, as a multiple of that of the heaviest orchestrator.
    pub(crate) fn stride(&self, orchestrator: OrchestratorIndex) -> f64 {
        if self.turn.len() > 1 { self.lock().turns.stride(orchestrator) } else { 1.0 }
    }

    /// Returns true if another orchestrator waits for the slot that a poll of this one holds.
    pub(crate) fn is_in_the_way(&self, orchestrator: OrchestratorIndex) -> bool {
        let state = self.lock();
        state.free == 0 && state.turns.others_wait(orchestrator)
    }

    /// Records that an orchestrator is down, or up again.
    pub(crate) fn set_down(&self, orchestrator: OrchestratorIndex, down: bool) {
        let mut state = self.lock();
        if state.turns.set_down(orchestrator, down, Instant::now()) {
            self.wake(&state);
        }
    }

    /// The number of free slots. A slot held by a poll is not free.
    pub(crate) fn free(&self) -> usize {
        self.lock().free
    }

    /// The slots in use now.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.lock();
        let waiting: usize = state.groups.iter().map(|group| group.waiting.len()).sum();
        let with_slot = waiting - state.parked;
        let is_open = |group: &GroupState| group.running < group.limit && group.waiting.is_empty();
        Usage {
            running: state.running,
            waiting,
            open: self.limit.saturating_sub(state.running + with_slot),
            groups_open: state.groups.iter().map(is_open).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotsState> {
        lock(&self.state)
    }
}

/// The place of a poller in the line for a slot. Dropping it leaves the line.
struct Wish<'a> {
    slots: &'a Slots,
    orchestrator: OrchestratorIndex,
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        state.turns.withdraw(self.orchestrator);
        // The poller may have been notified without having seen it: pass the notification on.
        self.slots.wake(&state);
    }
}

/// The right to poll for one task.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Option<Arc<Slots>>,
}

impl Slot {
    /// Exchanges the slot for a permit to run a task, which may first have to wait for the task's group.
    pub(crate) fn admit(mut self, group: Option<Group>, priority: f64) -> RunPermit {
        let slots = self.slots.take().expect("a slot is exchanged once, by value");
        let mut guard = slots.lock();
        let state = &mut *guard;
        let permit = match group {
            Some(index) if state.groups[index].running >= state.groups[index].limit => {
                let (wake, started) = oneshot::channel();
                state.arrivals += 1;
                // Makes -0.0 equal to 0.0.
                let order = (Reverse(Priority(priority + 0.0)), state.arrivals);
                let has_slot = state.parked >= slots.limit;
                if !has_slot {
                    state.parked += 1;
                    state.free += 1;
                }
                state.groups[index].waiting.insert(order, Waiter { has_slot, wake });
                PermitState::Waits { order, started }
            }
            _ => {
                state.running += 1;
                if let Some(index) = group {
                    state.groups[index].running += 1;
                }
                PermitState::Runs
            }
        };
        // A task of another group may wait for the slot given back.
        state.start_waiting();
        slots.wake(state);
        drop(guard);
        RunPermit { slots, group, permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            let mut state = slots.lock();
            state.free += 1;
            state.start_waiting();
            slots.wake(&state);
        }
    }
}

/// The right to run a task, now or once its group has room. Dropping it releases the slot or the place in the queue.
#[derive(Debug)]
pub(crate) struct RunPermit {
    slots: Arc<Slots>,
    group: Option<Group>,
    permit: PermitState,
}

#[derive(Debug)]
enum PermitState {
    Runs,
    Waits { order: Order, started: oneshot::Receiver<()> },
}

impl RunPermit {
    /// Returns true if the task has to wait for its group.
    pub(crate) fn must_wait(&self) -> bool {
        matches!(self.permit, PermitState::Waits { .. })
    }

    /// Waits until the task may run.
    ///
    /// # Cancel safety
    /// The place in the queue is kept until the permit is dropped.
    pub(crate) async fn started(&mut self) {
        if let PermitState::Waits { started, .. } = &mut self.permit {
            // The sender lives in the queue, and leaves it only to send.
            let _ = started.await;
            self.permit = PermitState::Runs;
        }
    }
}

impl Drop for RunPermit {
    fn drop(&mut self) {
        let mut guard = self.slots.lock();
        let state = &mut *guard;
        let waiter = match (&self.permit, self.group) {
            (PermitState::Waits { order, .. }, Some(group)) => state.groups[group].waiting.remove(order),
            _ => None,
        };
        match waiter {
            Some(waiter) if waiter.has_slot => state.free += 1,
            Some(_) => state.parked -= 1,
            None => {
                state.running -= 1;
                state.free += 1;
                if let Some(group) = self.group {
                    state.groups[group].running -= 1;
                }
            }
        }
        state.start_waiting();
        self.slots.wake(state);
    }
}

#[cfg(test)]
mod tests;
