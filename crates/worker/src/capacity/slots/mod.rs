//! The right to run tasks: one limit for all, and one for each limit group.
//!
//! A [`Slot`] is taken before a task is asked for, so that a task that arrives can always start. Only a task whose
//! group is full has to wait; up to as many such tasks as there are slots give their slot back while they wait.
//!
//! | state of a task | counts towards the limit of all | towards its group's |
//! |---|---|---|
//! | asked for (a poll is open) | yes | no |
//! | runs | yes | yes |
//! | waits for its group | only beyond as many as there are slots | no |
//!
//! When polls of several orchestrators wait for a slot, [`Turns`] says whose is next.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::capacity::turns::{Share, Turns};
use crate::threads::lock;

/// The index of a limit group.
pub(crate) type Group = usize;

/// Higher priority first, then arrival.
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
    state: Mutex<State>,
    /// For each orchestrator: it may be its turn to take a slot.
    turn: Vec<Notify>,
    limit: usize,
}

/// What is in use, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Tasks that run.
    pub(crate) running: usize,
    /// Tasks that wait for their group.
    pub(crate) waiting: usize,
    /// Slots that no task has: free, or held by an open poll.
    pub(crate) open: usize,
    /// For each group, whether one more task of it could start now.
    pub(crate) groups_open: Vec<bool>,
}

#[derive(Debug)]
struct State {
    free: usize,
    turns: Turns,
    /// Tasks that run, whatever their group.
    running: usize,
    /// Waiting tasks that hold no slot, and how many may.
    parked: usize,
    parked_limit: usize,
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

impl State {
    /// Starts waiting tasks as far as slots and groups allow, the most urgent of all groups first.
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
            // A task that gave up finds that it is no longer waiting, and gives everything back.
            let _ = waiter.wake.send(());
        }
    }

    fn end(&mut self, group: Option<Group>) {
        self.running -= 1;
        self.free += 1;
        if let Some(group) = group {
            self.groups[group].running -= 1;
        }
        self.start_waiting();
    }
}

impl Slots {
    /// `limit` slots, and groups with these limits, for polls that take these turns.
    pub(crate) fn new(limit: usize, group_limits: &[usize], turns: Turns) -> Arc<Self> {
        let groups = group_limits
            .iter()
            .map(|limit| GroupState { limit: *limit, running: 0, waiting: BTreeMap::new() })
            .collect();
        let turn = (0..turns.len()).map(|_| Notify::new()).collect();
        let state =
            State { free: limit, turns, running: 0, parked: 0, parked_limit: limit, groups, arrivals: 0 };
        Arc::new(Self { state: Mutex::new(state), turn, limit })
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Waits for a free slot for a poll of this orchestrator.
    ///
    /// # Cancel safety
    /// Nothing is taken before it returns.
    pub(crate) async fn acquire(self: &Arc<Self>, who: usize) -> Slot {
        let mut wish = Wish { slots: self, who, made: false };
        loop {
            if let Some(slot) = self.take(&mut wish) {
                return slot;
            }
            self.turn[who].notified().await;
        }
    }

    /// Takes a slot if it is this one's turn, else makes sure that it waits in line.
    fn take(self: &Arc<Self>, wish: &mut Wish<'_>) -> Option<Slot> {
        let mut state = self.lock();
        if !wish.made {
            state.turns.wish(wish.who, Instant::now());
            wish.made = true;
        }
        if state.turns.next(state.free) != Some(wish.who) {
            // The order can have changed since it was told: whoever is next by now has not heard of it.
            self.wake(&state);
            return None;
        }
        state.turns.withdraw(wish.who);
        wish.made = false;
        state.free -= 1;
        // Several can be freed while one notification is on its way: hand it on.
        self.wake(&state);
        Some(Slot { slots: Some(self.clone()) })
    }

    /// Tells whoever waits and can have a slot.
    fn wake(&self, state: &State) {
        if let Some(who) = state.turns.next(state.free) {
            self.turn[who].notify_one();
        }
    }

    /// A poll was sent to this orchestrator: its turn is used.
    pub(crate) fn sent(&self, who: usize) {
        if self.turn.len() > 1 {
            self.lock().turns.sent(who);
        }
    }

    /// A poll brought a task to this orchestrator. How many pollers it should have.
    pub(crate) fn brought_task(&self, who: usize, pollers: usize) -> Share {
        match self.turn.len() {
            1 => Share::Less,
            _ => match self.lock().turns.brought_task(who, pollers, Instant::now()) {
                // More than could ever be used at once.
                Share::Lacking if pollers >= self.limit => Share::Less,
                share => share,
            },
        }
    }

    /// A poll brought nothing to this orchestrator.
    pub(crate) fn brought_nothing(&self, who: usize) {
        if self.turn.len() > 1 {
            self.lock().turns.brought_nothing(who);
        }
    }

    /// How many times longer than the heaviest this orchestrator pauses after an empty answer.
    pub(crate) fn stride(&self, who: usize) -> f64 {
        self.lock().turns.stride(who)
    }

    /// Whether a poll of this orchestrator holds a slot that another orchestrator waits for.
    pub(crate) fn is_in_the_way(&self, who: usize) -> bool {
        let state = self.lock();
        state.free == 0 && state.turns.others_wait(who)
    }

    /// Says whether an orchestrator is down.
    pub(crate) fn set_down(&self, who: usize, down: bool) {
        let mut state = self.lock();
        if state.turns.set_down(who, down, Instant::now()) {
            self.wake(&state);
        }
    }

    /// How many slots are free, those held by polls not among them.
    pub(crate) fn free(&self) -> usize {
        self.lock().free
    }

    /// What is in use.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.lock();
        let waiting: usize = state.groups.iter().map(|group| group.waiting.len()).sum();
        let with_slot = waiting - state.parked;
        Usage {
            running: state.running,
            waiting,
            open: self.limit.saturating_sub(state.running + with_slot),
            groups_open: state
                .groups
                .iter()
                .map(|group| group.running < group.limit && group.waiting.is_empty())
                .collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A poller's place in the line for a slot, which it leaves however it ends.
struct Wish<'a> {
    slots: &'a Slots,
    who: usize,
    made: bool,
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        if self.made {
            let mut state = self.slots.lock();
            state.turns.withdraw(self.who);
            // It may have been told that it is its turn, and be gone before it saw it.
            self.slots.wake(&state);
        }
    }
}

/// The right to ask for one task.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Option<Arc<Slots>>,
}

impl Slot {
    /// Exchanges it for the right to run a task, or a place in its group's queue.
    pub(crate) fn admit(mut self, group: Option<Group>, priority: f64) -> Place {
        let slots = self.slots.take().expect("a slot is exchanged once, by value");
        let mut guard = slots.lock();
        let state = &mut *guard;
        let standing = match group {
            Some(index) if state.groups[index].running >= state.groups[index].limit => {
                let (wake, started) = oneshot::channel();
                state.arrivals += 1;
                // Zero has two signs, which mean the same.
                let order = (Reverse(Priority(priority + 0.0)), state.arrivals);
                let has_slot = state.parked >= state.parked_limit;
                if !has_slot {
                    state.parked += 1;
                    state.free += 1;
                }
                state.groups[index].waiting.insert(order, Waiter { has_slot, wake });
                Standing::Waits { order, started: Some(started) }
            }
            _ => {
                state.running += 1;
                if let Some(index) = group {
                    state.groups[index].running += 1;
                }
                Standing::Runs
            }
        };
        // The slot given back may be what another group's task waits for.
        state.start_waiting();
        slots.wake(state);
        drop(guard);
        Place { slots, group, standing }
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

/// A task's right to run, or its place in the queue. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    slots: Arc<Slots>,
    group: Option<Group>,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Runs,
    Waits { order: Order, started: Option<oneshot::Receiver<()>> },
}

impl Place {
    /// Whether the task has to wait for its group.
    pub(crate) fn must_wait(&self) -> bool {
        matches!(self.standing, Standing::Waits { .. })
    }

    /// Waits until the task may run.
    ///
    /// # Cancel safety
    /// The place is kept until it is dropped.
    pub(crate) async fn started(&mut self) {
        if let Standing::Waits { started, .. } = &mut self.standing
            && let Some(receiver) = started
        {
            // The sender lives in the queue, and leaves it only to send.
            let _ = receiver.await;
            self.standing = Standing::Runs;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self.slots.lock();
        let state = &mut *guard;
        match (&self.standing, self.group) {
            (Standing::Waits { order, .. }, Some(group)) => match state.groups[group].waiting.remove(order) {
                Some(waiter) if waiter.has_slot => state.free += 1,
                Some(_) => state.parked -= 1,
                None => state.end(self.group),
            },
            _ => state.end(self.group),
        }
        state.start_waiting();
        self.slots.wake(state);
    }
}

#[cfg(test)]
mod tests;
