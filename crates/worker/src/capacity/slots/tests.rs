use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::capacity::turns::Precedence;

const FIRST: OrchestratorIndex = OrchestratorIndex(0);
const SECOND: OrchestratorIndex = OrchestratorIndex(1);

fn slots(limit: usize, group_limits: &[usize]) -> Arc<Slots> {
    Slots::new(limit, group_limits, Turns::new(Precedence::Rank, &[1]))
}

fn slot(slots: &Arc<Slots>) -> Slot {
    try_acquire(slots).expect("a free slot")
}

fn try_acquire(slots: &Arc<Slots>) -> Option<Slot> {
    slots.acquire(FIRST).now_or_never()
}

#[test]
fn a_slot_is_free_again_at_once() {
    let slots = slots(1, &[]);
    let permit = slot(&slots).admit(None, 0.0);
    assert!(try_acquire(&slots).is_none());
    assert_eq!(slots.usage(), Usage { running: 1, waiting: 0, open: 0, groups_open: vec![] });
    drop(permit);
    assert!(try_acquire(&slots).is_some());
}

#[tokio::test]
async fn waiting_pollers_are_woken() {
    let slots = slots(2, &[]);
    let (one, two) = (slot(&slots), slot(&slots));
    let (three, four) = (slots.acquire(FIRST), slots.acquire(FIRST));
    drop(one);
    drop(two);
    let (_three, _four) = tokio::join!(three, four);
}

#[tokio::test]
async fn waiting_pollers_take_turns() {
    let slots = Slots::new(1, &[], Turns::new(Precedence::Weight, &[2, 1]));
    let mut taken = Vec::new();
    let poll = async |orchestrator: OrchestratorIndex,
                      taken: &std::cell::RefCell<&mut Vec<OrchestratorIndex>>| {
        for _ in 0..30 {
            let slot = slots.acquire(orchestrator).await;
            slots.on_poll_sent(orchestrator);
            taken.borrow_mut().push(orchestrator);
            drop(slot);
            tokio::task::yield_now().await;
        }
    };
    let shared = std::cell::RefCell::new(&mut taken);
    tokio::join!(poll(FIRST, &shared), poll(FIRST, &shared), poll(SECOND, &shared));
    let light = taken[..45].iter().filter(|polled| **polled == SECOND).count();
    assert_eq!(light, 15, "{taken:?}");
}

#[tokio::test]
async fn a_poller_that_leaves_the_line_passes_its_turn_on() {
    let slots = Slots::new(1, &[], Turns::new(Precedence::Rank, &[1, 1]));
    let held = slots.acquire(FIRST).await;
    let mut first = Box::pin(slots.acquire(FIRST));
    let mut second = Box::pin(slots.acquire(SECOND));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    drop(held);
    drop(first);
    second.await;
}

#[tokio::test]
async fn no_slot_is_left_unused_when_the_order_changes_after_a_notification() {
    let slots = Slots::new(1, &[], Turns::new(Precedence::Weight, &[1, 1]));
    let held = slots.acquire(FIRST).await;
    let mut first = Box::pin(slots.acquire(FIRST));
    let mut second = Box::pin(slots.acquire(SECOND));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    // The first is notified; before it looks, another poll of its orchestrator is counted.
    drop(held);
    slots.on_poll_sent(FIRST);
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_ready(), "it was not notified");
}

#[tokio::test]
async fn a_poll_is_in_the_way_when_another_that_is_up_waits_for_its_slot() {
    let slots = Slots::new(1, &[], Turns::new(Precedence::Rank, &[1, 1]));
    let held = slots.acquire(FIRST).await;
    assert!(!slots.is_in_the_way(FIRST));
    let mut other = Box::pin(slots.acquire(SECOND));
    assert!(futures_util::poll!(&mut other).is_pending() && slots.is_in_the_way(FIRST));
    assert!(!slots.is_in_the_way(SECOND));
    slots.set_down(SECOND, true);
    assert!(!slots.is_in_the_way(FIRST), "nor would the other be answered");
    slots.set_down(SECOND, false);
    drop(held);
    assert!(!slots.is_in_the_way(FIRST));
}

#[test]
fn a_task_whose_group_is_full_waits_without_a_slot() {
    let slots = slots(2, &[1]);
    let _first = slot(&slots).admit(Some(0), 0.0);
    let waits = slot(&slots).admit(Some(0), 0.0);
    assert!(waits.must_wait());
    assert_eq!(slots.free(), 1, "it gave its slot back");
    let usage = slots.usage();
    assert_eq!((usage.running, usage.waiting, usage.groups_open), (1, 1, vec![false]));
}

#[test]
fn if_more_tasks_wait_than_there_are_slots_the_rest_hold_theirs() {
    let slots = slots(2, &[1]);
    let _runs = slot(&slots).admit(Some(0), 0.0);
    let _waits: Vec<_> = (0..2).map(|_| slot(&slots).admit(Some(0), 0.0)).collect();
    let _holds = slot(&slots).admit(Some(0), 0.0);
    assert!(try_acquire(&slots).is_none(), "one runs, one waits with its slot");
}

#[test]
fn the_most_urgent_starts_first_then_the_first_to_arrive() {
    let slots = slots(4, &[1]);
    let runs = slot(&slots).admit(Some(0), 0.0);
    let mut low = slot(&slots).admit(Some(0), 1.0);
    let mut high = slot(&slots).admit(Some(0), 5.0);
    let mut later = slot(&slots).admit(Some(0), 5.0);
    drop(runs);
    assert!(high.started().now_or_never().is_some());
    assert!(later.started().now_or_never().is_none() && low.started().now_or_never().is_none());
    drop(high);
    assert!(later.started().now_or_never().is_some());
    drop(later);
    assert!(low.started().now_or_never().is_some());
}

#[test]
fn zero_has_no_sign() {
    let slots = slots(3, &[1]);
    let runs = slot(&slots).admit(Some(0), 0.0);
    let mut first = slot(&slots).admit(Some(0), -0.0);
    let mut second = slot(&slots).admit(Some(0), 0.0);
    drop(runs);
    assert!(first.started().now_or_never().is_some() && second.started().now_or_never().is_none());
}

#[test]
fn a_task_that_stops_waiting_leaves_nothing_behind() {
    let slots = slots(2, &[1]);
    let runs = slot(&slots).admit(Some(0), 0.0);
    let gives_up = slot(&slots);
    drop(gives_up.admit(Some(0), 0.0));
    drop(runs);
    assert_eq!(slots.usage(), Usage { running: 0, waiting: 0, open: 2, groups_open: vec![true] });
}

proptest! {
    /// Whatever comes and goes: no limit is exceeded, and in the end everything is free.
    #[test]
    fn limits_hold_over_any_history(steps in proptest::collection::vec((0u8..4, 0usize..3, 0u8..3), 1..200)) {
        let limits = [1, 2];
        let slots = slots(3, &limits);
        let mut permits: Vec<RunPermit> = Vec::new();
        for (step, which, priority) in steps {
            if step < 3 {
                if let Some(slot) = try_acquire(&slots) {
                    permits.push(slot.admit((which < 2).then_some(which), f64::from(priority)));
                }
            } else if !permits.is_empty() {
                permits.remove(which % permits.len());
            }
            for permit in &mut permits {
                let _ = permit.started().now_or_never();
            }
            let state = slots.lock();
            prop_assert!(state.running <= 3 && state.parked <= 3);
            for (group, limit) in state.groups.iter().zip(limits) {
                prop_assert!(group.running <= limit);
                prop_assert!(group.running == limit || group.waiting.is_empty() || state.free == 0);
            }
            let with_slot = state.groups.iter().map(|group| group.waiting.len()).sum::<usize>() - state.parked;
            prop_assert_eq!(state.free + state.running + with_slot, 3);
        }
        drop(permits);
        prop_assert_eq!(slots.usage(), Usage { running: 0, waiting: 0, open: 3, groups_open: vec![true, true] });
    }
}
