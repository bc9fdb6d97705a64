use proptest::prelude::*;

use super::*;

fn index(index: usize) -> OrchestratorIndex {
    OrchestratorIndex(index)
}

/// The next `count` polls while pollers of all orchestrators wait.
fn polls(turns: &mut Turns, count: usize) -> Vec<usize> {
    (0..count)
        .map(|_| {
            let next = turns.next(2).expect("a poller waits");
            turns.on_poll_sent(next);
            next.0
        })
        .collect()
}

fn all_wish(precedence: Precedence, weights: &[u32], now: Instant) -> Turns {
    let mut turns = Turns::new(precedence, weights);
    for who in 0..weights.len() {
        turns.wish(index(who), now);
    }
    turns
}

fn count(polls: &[usize], who: usize) -> usize {
    polls.iter().filter(|poll| **poll == who).count()
}

#[test]
fn polls_follow_the_weights() {
    let now = Instant::now();
    let polls = polls(&mut all_wish(Precedence::Weight, &[100, 50, 10], now), 160);
    assert_eq!((count(&polls, 0), count(&polls, 1), count(&polls, 2)), (100, 50, 10));
    assert_eq!(polls[..8], [0, 1, 2, 0, 0, 1, 0, 0], "smooth: the heaviest does not go first all at once");
}

#[test]
fn ranks_go_in_order() {
    let now = Instant::now();
    let mut turns = all_wish(Precedence::Rank, &[1, 100], now);
    assert_eq!(polls(&mut turns, 3), [0, 0, 0]);
    turns.withdraw(index(0));
    assert_eq!(turns.next(1), Some(index(1)));
}

#[test]
fn after_an_empty_poll_the_next_in_the_list_polls_until_there_is_a_task() {
    let now = Instant::now();
    let mut turns = all_wish(Precedence::Rank, &[1, 1, 1], now);
    for who in [0, 1, 2, 0, 1] {
        assert_eq!(polls(&mut turns, 1), [who]);
        turns.on_no_task(index(who));
    }
    turns.on_task(index(1), 1, now);
    assert_eq!(polls(&mut turns, 1), [0]);
}

#[test]
fn one_that_is_down_gets_no_slot_that_another_could_use() {
    let now = Instant::now();
    let mut turns = all_wish(Precedence::Weight, &[100, 1], now);
    assert!(turns.set_down(index(0), true, now) && !turns.set_down(index(0), true, now));
    assert_eq!(turns.next(2), Some(index(1)));
    turns.withdraw(index(1));
    assert_eq!(
        (turns.next(1), turns.next(2)),
        (None, Some(index(0))),
        "the last slot is kept for one that is up"
    );
    turns.set_down(index(1), true, now);
    assert_eq!(turns.next(1), Some(index(0)), "none is up to keep it for");
}

#[test]
fn one_that_is_up_again_has_saved_up_nothing() {
    let now = Instant::now();
    let mut turns = all_wish(Precedence::Weight, &[1, 1], now);
    turns.set_down(index(0), true, now);
    polls(&mut turns, 1000);
    turns.set_down(index(0), false, now);
    assert_eq!(count(&polls(&mut turns, 10), 0), 5);
}

#[test]
fn one_that_comes_back_has_saved_up_nothing() {
    let began = Instant::now();
    let mut turns = Turns::new(Precedence::Weight, &[1, 1]);
    turns.wish(index(0), began);
    polls(&mut turns, 1000);
    let later = began + LIVELY_FOR;
    turns.wish(index(1), later);
    let polls = polls(&mut turns, 10);
    assert_eq!(count(&polls, 0), 5, "{polls:?}");
}

#[test]
fn polls_beside_a_lively_one_are_owed_but_not_forever() {
    let now = Instant::now();
    let mut turns = Turns::new(Precedence::Weight, &[10, 1]);
    turns.on_task(index(0), 1, now);
    for _ in 0..1000 {
        turns.on_poll_sent(index(1));
    }
    turns.wish(index(0), now);
    turns.wish(index(1), now);
    let polls = polls(&mut turns, 60);
    assert_eq!(
        polls.iter().position(|who| *who == 1),
        Some(41),
        "four strides of ten, and the heavier goes first"
    );
}

#[test]
fn pollers_grow_by_weight_among_those_that_have_tasks() {
    let now = Instant::now();
    let mut turns = Turns::new(Precedence::Weight, &[100, 50, 10]);
    let mut pollers = [1, 1, 1];
    for _ in 0..20 {
        for (who, count) in pollers.iter_mut().enumerate() {
            match turns.on_task(index(who), *count, now) {
                Share::Less | Share::Lacking => *count = (*count + 1).min(8),
                Share::More => *count = (*count - 1).max(1),
                Share::Exact => {}
            }
        }
    }
    assert_eq!(pollers, [8, 4, 1]);
    assert_eq!(turns.on_task(index(2), 8, now), Share::More);
    assert_eq!(turns.on_task(index(0), 1, now), Share::Lacking, "it has less than its share, slots or not");
    let later = now + LIVELY_FOR;
    assert_eq!(turns.on_task(index(2), 1, later), Share::Less, "the others have no tasks any more");
}

#[test]
fn pauses_are_as_long_as_the_weight_is_light() {
    let now = Instant::now();
    let mut turns = Turns::new(Precedence::Weight, &[100, 50, 10]);
    let strides = |turns: &Turns| [0, 1, 2].map(|who| format!("{:.1}", turns.stride(index(who))));
    assert_eq!(strides(&turns), ["1.0", "2.0", "10.0"]);
    turns.set_down(index(0), true, now);
    assert_eq!(strides(&turns), ["1.0", "1.0", "5.0"], "its share goes to the others");
    assert!((Turns::new(Precedence::Rank, &[100, 1]).stride(index(1)) - 1.0).abs() < f64::EPSILON);
}

proptest! {
    /// The weights hold over any window, give or take one for each orchestrator, and nobody starves.
    #[test]
    fn weights_hold_over_any_window(
        weights in proptest::collection::vec(1u32..200, 1..6),
        start in 0usize..500,
        length in 1usize..500,
    ) {
        let now = Instant::now();
        let mut turns = all_wish(Precedence::Weight, &weights, now);
        let all = polls(&mut turns, start + length);
        let window = &all[start..];
        let total: u32 = weights.iter().sum();
        for (who, weight) in weights.iter().enumerate() {
            let fair = length as f64 * f64::from(*weight) / f64::from(total);
            let got = count(window, who) as f64;
            prop_assert!((got - fair).abs() <= weights.len() as f64, "{who}: {got} of {fair} in {weights:?}");
        }
    }

    /// One that is down costs the others nothing: they poll as if it were not there.
    #[test]
    fn a_dead_one_costs_the_others_nothing(
        weights in proptest::collection::vec(1u32..200, 2..6),
        dead in 0usize..6,
    ) {
        let now = Instant::now();
        let dead = dead % weights.len();
        let mut turns = all_wish(Precedence::Weight, &weights, now);
        turns.set_down(index(dead), true, now);
        let with = polls(&mut turns, 300);
        let mut without = weights.clone();
        without.remove(dead);
        let alone = polls(&mut all_wish(Precedence::Weight, &without, now), 300);
        let renumbered: Vec<usize> = alone.iter().map(|who| who + usize::from(*who >= dead)).collect();
        // Strides are measured against the heaviest, dead or not: ties may be broken otherwise.
        for who in 0..weights.len() {
            let difference = count(&with, who).abs_diff(count(&renumbered, who));
            prop_assert!(difference <= 1, "{who}: {difference} in {weights:?}");
        }
        prop_assert_eq!(count(&with, dead), 0);
    }

    /// A waiting poller is served before long, whatever the others do and however long it was away.
    #[test]
    fn no_orchestrator_starves(
        weights in proptest::collection::vec(1u32..50, 2..5),
        steps in proptest::collection::vec((0usize..5, 0u8..4), 1..200),
    ) {
        let mut now = Instant::now();
        let mut turns = Turns::new(Precedence::Weight, &weights);
        for (who, step) in steps {
            let who = who % weights.len();
            match step {
                0 => turns.on_poll_sent(index(who)),
                1 => { turns.on_task(index(who), 1, now); }
                2 => now += Duration::from_millis(400),
                _ => { turns.wish(index(who), now); turns.on_poll_sent(index(who)); turns.withdraw(index(who)); }
            }
        }
        for who in 0..weights.len() {
            turns.wish(index(who), now);
        }
        // At most as many turns as all debts add up to.
        let total: u32 = weights.iter().sum();
        let served = polls(&mut turns, (total as usize + weights.len()) * 6);
        for who in 0..weights.len() {
            prop_assert!(count(&served, who) > 0, "{who} of {weights:?}");
        }
    }
}
