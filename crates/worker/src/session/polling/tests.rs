use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn polling() -> Polling {
    let settings = PollingSettings {
        poll_timeout: 30 * SECOND,
        max_pollers: 3,
        reserve: 0,
        error_delay: 5 * SECOND,
        idle_delay: Duration::from_millis(10),
    };
    let mut polling = Polling::new(settings, RateGate::default(), Rng::with_seed(1));
    assert!(polling.begin_first());
    polling
}

/// A 429, which the peer passes on to the gate.
fn refuse(polling: &mut Polling, now: Instant) {
    polling.gate.on_refused(now, None);
    polling.on_answer(PollOutcome::RateLimited, 1.0, now, now);
}

const fn task(free_slots: usize) -> PollOutcome {
    PollOutcome::Task { free_slots, share: Share::Less }
}

#[test]
fn pollers_grow_while_tasks_come_at_once_and_shrink_when_none_come() {
    let (mut polling, now) = (polling(), Instant::now());
    assert_eq!(polling.on_answer(task(0), 1.0, now, now), PollDecision::Continue, "no slot is free");
    for _ in 0..2 {
        assert_eq!(polling.on_answer(task(1), 1.0, now, now), PollDecision::Grow);
    }
    assert_eq!(polling.on_answer(task(1), 1.0, now, now), PollDecision::Continue, "as many as are allowed");
    for _ in 0..2 {
        assert_eq!(polling.on_answer(PollOutcome::Nothing, 1.0, now, now + 30 * SECOND), PollDecision::End);
    }
    assert_eq!(
        polling.on_answer(PollOutcome::Nothing, 1.0, now, now + 30 * SECOND),
        PollDecision::Continue,
        "one stays"
    );
    assert_eq!(
        polling.on_answer(task(1), 1.0, now, now + SECOND),
        PollDecision::Continue,
        "it was waited for"
    );
}

#[test]
fn pollers_that_decide_before_others_have_come_or_gone_know_of_them() {
    let (mut polling, now) = (polling(), Instant::now());
    let decisions = [(); 5].map(|()| polling.on_answer(task(9), 1.0, now, now));
    assert_eq!(decisions[..2], [PollDecision::Grow; 2]);
    assert_eq!(decisions[2..], [PollDecision::Continue; 3]);
    let decisions = [(); 5].map(|()| polling.on_answer(PollOutcome::Nothing, 1.0, now, now));
    assert_eq!(decisions[..2], [PollDecision::End; 2]);
    assert_eq!(decisions[2..], [PollDecision::Continue; 3]);
    assert!(!polling.begin_first(), "one is left");
    polling.on_gone();
    assert!(polling.begin_first());
    assert!(!polling.begin_first());
}

#[test]
fn only_the_first_poller_takes_a_reserved_slot() {
    let (mut polling, now) = (polling(), Instant::now());
    polling.settings.reserve = 1;
    assert_eq!(polling.on_slot(|| unreachable!("a single poller takes any slot")), PollDecision::Continue);
    for (free, decision) in [(1, PollDecision::Continue), (2, PollDecision::Grow), (2, PollDecision::Grow)] {
        assert_eq!(polling.on_answer(task(free), 1.0, now, now), decision, "{free} slots are free");
    }
    for (free, decision, left) in [
        (1, PollDecision::Continue, 3),
        (0, PollDecision::End, 2),
        (1, PollDecision::Continue, 2),
        (0, PollDecision::End, 1),
        (0, PollDecision::Continue, 1),
    ] {
        assert_eq!((polling.on_slot(|| free), polling.pollers()), (decision, left), "{free} slots are free");
    }
    polling.settings.reserve = 0;
    assert_eq!(polling.on_answer(task(1), 1.0, now, now), PollDecision::Grow);
    assert_eq!(polling.on_slot(|| unreachable!("none is reserved")), PollDecision::Continue);
}

#[test]
fn at_once_is_measured_by_the_way() {
    for (shortest, within) in [
        (None, 100),
        (Some(0), 100),
        (Some(33), 100),
        (Some(120), 360),
        (Some(333), 999),
        (Some(30_000), 1000),
    ] {
        let within = Duration::from_millis(within);
        assert_eq!(at_once_within(shortest.map(Duration::from_millis)), within, "{shortest:?}");
    }
}

#[test]
fn over_a_long_way_pollers_grow_and_instant_nothing_is_told_from_what_was_held() {
    let (mut polling, now) = (polling(), Instant::now());
    let near = now + Duration::from_millis(120);
    assert_eq!(polling.on_answer(PollOutcome::Nothing, 1.0, now, now + 30 * SECOND), PollDecision::Continue);
    assert_eq!(polling.on_answer(task(1), 1.0, now, now + 2 * SECOND), PollDecision::Continue, "held");
    assert_eq!(polling.on_answer(task(1), 1.0, now, near), PollDecision::Grow);
    polling.on_answer(PollOutcome::Nothing, 1.0, now, near);
    assert!(polling.wait_until(near).is_some());
}

#[test]
fn what_was_held_for_a_short_time_is_not_taken_for_the_way() {
    let (mut polling, mut now) = (polling(), Instant::now());
    for _ in 0..5 {
        let sent = now;
        now += Duration::from_millis(300);
        polling.on_answer(PollOutcome::Nothing, 1.0, sent, now);
        assert_eq!(polling.wait_until(now), None);
    }
}

#[test]
fn a_task_that_is_delivered_again_and_again_is_asked_for_less_often() {
    let (mut polling, mut now) = (polling(), Instant::now());
    polling.on_answer(task(1), 1.0, now, now);
    assert_eq!(polling.on_answer(PollOutcome::KnownTask, 1.0, now, now), PollDecision::End);
    for delay in [10, 20, 40, 80, 160, 250, 250] {
        let until = polling.wait_until(now).expect("a pause");
        assert_eq!(until, now + Duration::from_millis(delay));
        now = until;
        polling.on_answer(PollOutcome::KnownTask, 1.0, now, now);
    }
}

#[test]
fn every_answer_but_429_counts_towards_the_limit_that_429_teaches() {
    for outcome in
        [task(0), PollOutcome::KnownTask, PollOutcome::Nothing, PollOutcome::Unauthorized, PollOutcome::Error]
    {
        let (mut polling, mut now) = (polling(), Instant::now());
        polling.gate.suspect(4);
        for _ in 0..4 {
            now = polling.wait_until(now).unwrap_or(now);
            assert!(polling.may_send(now));
            // As the peer does for every answer but 429.
            polling.gate.on_accepted();
            polling.on_answer(outcome, 1.0, now, now);
        }
        now = polling.wait_until(now).unwrap_or(now);
        assert!(polling.may_send(now));
        refuse(&mut polling, now);
        now += 70 * SECOND;
        for sent in 1..=2 {
            assert!(polling.may_send(now), "{outcome:?}: silent after {sent} of 4");
            now += SECOND;
        }
        assert!(!polling.may_send(now), "{outcome:?}: not silent two short of the limit");
    }
}

#[test]
fn no_answer_cuts_short_a_pause_that_another_poller_was_told() {
    let (mut polling, now) = (polling(), Instant::now());
    polling.on_error(now, now);
    let pause = polling.wait_until(now);
    polling.on_answer(PollOutcome::Nothing, 1.0, now, now);
    assert_eq!(polling.wait_until(now), pause);
}

#[test]
fn nothing_at_once_is_asked_for_less_and_less_often() {
    let (mut polling, mut now) = (polling(), Instant::now());
    let mut delays = Vec::new();
    for _ in 0..8 {
        polling.on_answer(PollOutcome::Nothing, 1.0, now, now);
        let until = polling.wait_until(now).expect("a pause");
        delays.push(until.duration_since(now).as_millis());
        now = until;
    }
    assert_eq!(delays, [10, 20, 40, 80, 160, 250, 250, 250]);
    polling.on_answer(task(0), 1.0, now, now);
    assert_eq!(polling.wait_until(now), None);
    polling.on_answer(PollOutcome::Nothing, 1.0, now, now);
    assert_eq!(polling.wait_until(now), Some(now + Duration::from_millis(10)), "it begins anew");
}

#[test]
fn delays_of_nothing_grow_too() {
    let settings = PollingSettings {
        poll_timeout: 30 * SECOND,
        max_pollers: 1,
        reserve: 0,
        error_delay: Duration::ZERO,
        idle_delay: Duration::ZERO,
    };
    let (mut polling, mut now) =
        (Polling::new(settings, RateGate::default(), Rng::with_seed(1)), Instant::now());
    for _ in 0..8 {
        polling.on_answer(PollOutcome::Nothing, 1.0, now, now);
        now = polling.wait_until(now).expect("a pause");
    }
    polling.on_answer(PollOutcome::Nothing, 1.0, now, now);
    assert_eq!(polling.wait_until(now), Some(now + MAX_IDLE_DELAY));
    now += SECOND;
    for _ in 0..8 {
        polling.on_error(now, now);
        now = polling.wait_until(now).expect("a pause");
    }
    polling.on_error(now, now);
    assert!(polling.wait_until(now) >= Some(now + SECOND), "10 ms, doubled eight times");
}

#[test]
fn errors_double_the_delay_and_never_cut_it_short() {
    let (mut polling, mut now) = (polling(), Instant::now());
    for base in [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] {
        polling.on_error(now, now);
        let until = polling.wait_until(now).expect("a pause");
        let delay = until.duration_since(now).as_secs_f64();
        assert!((base..=base * 1.25 + 0.001).contains(&delay), "{delay} for {base}");
        now = until;
    }
}

#[test]
fn polls_that_fail_together_are_one_failure() {
    let (mut polling, now) = (polling(), Instant::now());
    for _ in 0..8 {
        polling.on_error(now, now + SECOND);
    }
    let until = polling.wait_until(now).expect("a pause");
    assert!(until <= now + SECOND + Duration::from_millis(6250));
}

#[test]
fn others_get_their_share_of_pollers() {
    let (mut polling, now) = (polling(), Instant::now());
    let shared = |share| PollOutcome::Task { free_slots: 9, share };
    assert_eq!(polling.on_answer(shared(Share::Less), 1.0, now, now), PollDecision::Grow);
    let full = |share| PollOutcome::Task { free_slots: 0, share };
    assert_eq!(
        polling.on_answer(full(Share::Less), 1.0, now, now),
        PollDecision::Continue,
        "nobody else wants them"
    );
    assert_eq!(
        polling.on_answer(full(Share::Lacking), 1.0, now, now),
        PollDecision::Grow,
        "it waits in line"
    );
    polling.on_gone();
    assert_eq!(polling.on_answer(shared(Share::Exact), 1.0, now, now), PollDecision::Continue);
    assert_eq!(polling.on_answer(shared(Share::More), 1.0, now, now), PollDecision::End);
    assert_eq!(polling.on_answer(shared(Share::More), 1.0, now, now), PollDecision::Continue, "one stays");
}

/// The number of polls of several orchestrators that all answer at once that they have no task.
#[test]
fn empty_polls_follow_the_weights_from_the_first_on() {
    let strides = [1.0, 2.0, 10.0];
    let way = Duration::from_millis(3);
    let began = Instant::now();
    let mut due: Vec<(Instant, usize, Polling)> =
        strides.iter().enumerate().map(|(index, _)| (began, index, polling())).collect();
    let mut counts = [0usize; 3];
    for total in 1..=1600 {
        due.sort_by_key(|(at, index, _)| (*at, *index));
        let (at, index, polling) = &mut due[0];
        counts[*index] += 1;
        let answered = *at + way;
        polling.on_answer(PollOutcome::Nothing, strides[*index], *at, answered);
        *at = polling.wait_until(answered).expect("a pause");
        let fair = [100.0, 50.0, 10.0].map(|weight| f64::from(total) * weight / 160.0);
        for (count, fair) in counts.iter().zip(fair) {
            assert!((*count as f64 - fair).abs() <= 1.5, "{counts:?} of {total}");
        }
    }
}

#[test]
fn one_that_is_back_is_polled_at_once_and_failures_go_on_growing() {
    let (mut polling, mut now) = (polling(), Instant::now());
    for _ in 0..4 {
        polling.on_error(now, now);
        now = polling.wait_until(now).expect("a pause");
    }
    polling.on_error(now, now);
    polling.on_back();
    assert_eq!(polling.wait_until(now), None);
    polling.on_error(now, now);
    assert!(polling.wait_until(now).expect("a pause") >= now + 60 * SECOND);
    // A pause that is not due to a failure stays.
    polling.on_back();
    polling.on_answer(PollOutcome::Unauthorized, 1.0, now, now);
    polling.on_back();
    assert!(polling.wait_until(now).is_some());
    refuse(&mut polling, now);
    polling.on_back();
    assert!(polling.wait_until(now).expect("silence") >= now + 61 * SECOND);
}
