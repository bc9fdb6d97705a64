use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn conversation(role: Role, now: Instant) -> Conversation {
    Conversation::new(15 * SECOND, 60 * SECOND, role, RateGate::default(), now, Rng::with_seed(1))
}

fn known(generation: Generation) -> (Conversation, Instant) {
    let now = Instant::now();
    let mut state = conversation(Role::Active, now);
    assert_eq!(state.next(now), Step::Register);
    state.on_registered(generation, Role::Active, now);
    (state, now)
}

/// Known, and its first heartbeat acknowledged.
fn acknowledged(generation: Generation) -> (Conversation, Instant) {
    let (mut state, now) = known(generation);
    assert_eq!(state.next(now), Step::Beat { probe: false }, "the first follows at once");
    state.on_beat(Beat::Acknowledged, now);
    (state, now)
}

#[test]
fn registration_is_repeated_after_growing_delays() {
    let mut now = Instant::now();
    let mut state = conversation(Role::Active, now);
    for _ in 0..20 {
        assert_eq!(state.next(now), Step::Register);
        state.on_not_registered(None, now);
        if let Step::Wait { until } = state.next(now) {
            assert!(until.duration_since(now) <= 60 * SECOND);
            now = until;
        }
    }
    state.on_not_registered(Some(5 * SECOND), now);
    assert_eq!(state.next(now), Step::Wait { until: now + 5 * SECOND });
}

#[test]
fn heartbeats_keep_their_interval_and_never_come_in_bursts() {
    let (mut state, now) = acknowledged(Generation::Older);
    assert_eq!(state.next(now), Step::Wait { until: now + 15 * SECOND });
    let late = now + 50 * SECOND;
    assert_eq!(state.next(late), Step::Beat { probe: false });
    assert_eq!(state.next(late), Step::Wait { until: now + 60 * SECOND });
}

#[test]
fn heartbeats_to_several_orchestrators_are_spread_over_the_interval() {
    let began = Instant::now();
    let beats = |index: u32, registered: Duration| {
        let state = conversation(Role::Active, began).in_turn(index as usize, 3);
        let (mut state, mut now) = (state, began + registered);
        assert_eq!(state.next(now), Step::Register);
        state.on_registered(Generation::Older, Role::Active, now);
        let mut beats = Vec::new();
        while beats.len() < 4 {
            match state.next(now) {
                Step::Beat { .. } => {
                    beats.push((now - began).as_secs_f64().round());
                    state.on_beat(Beat::Acknowledged, now);
                }
                Step::Wait { until } => now = until,
                step => panic!("{step:?}"),
            }
        }
        beats
    };
    let registered = [Duration::ZERO, 2 * SECOND, 7 * SECOND, 40 * SECOND];
    let cases = [
        (0, registered[0], [0.0, 15.0, 30.0, 45.0]),
        (0, registered[1], [2.0, 15.0, 30.0, 45.0]),
        (1, registered[0], [0.0, 5.0, 20.0, 35.0]),
        (1, registered[1], [2.0, 5.0, 20.0, 35.0]),
        (1, registered[2], [7.0, 20.0, 35.0, 50.0]),
        (2, registered[3], [40.0, 55.0, 70.0, 85.0]),
    ];
    for (index, registered, expected) in cases {
        assert_eq!(beats(index, registered), expected, "{index} {registered:?}");
    }
}

#[test]
fn a_slow_answer_does_not_delay_the_next_heartbeat() {
    for generation in [Generation::Older, Generation::Newer] {
        let (mut state, now) = known(generation);
        assert_eq!(state.next(now), Step::Beat { probe: false });
        assert_eq!(state.next(now), Step::Wait { until: now + 15 * SECOND });
        let probe = generation.needs_probes();
        assert_eq!(state.next(now + 15 * SECOND), Step::Beat { probe }, "it is asked every second time");
        assert_eq!(state.next(now + 30 * SECOND), Step::Beat { probe: false });
        let full = now + 45 * SECOND;
        assert_eq!(state.next(full), Step::Wait { until: full + LONG }, "three are unanswered");
        state.on_beat(Beat::Acknowledged, full);
        assert_eq!(state.next(full), Step::Beat { probe });
        for _ in 0..3 {
            state.on_beat(Beat::Acknowledged, full);
        }
        assert_eq!(state.next(full), Step::Wait { until: now + 60 * SECOND });
        assert_eq!(state.next(now + 60 * SECOND), Step::Beat { probe: false });
        state.on_role(Role::Standby, now + 61 * SECOND);
        assert_eq!(
            state.next(now + 61 * SECOND),
            Step::Beat { probe: false },
            "a question would delay what it is told at once"
        );
        state.on_beat(Beat::Acknowledged, now + 62 * SECOND);
        assert_eq!(state.next(now + 75 * SECOND), Step::Beat { probe }, "it was not asked");
    }
}

#[test]
fn a_change_waits_for_the_answer_and_not_beyond_the_next_heartbeat() {
    let (mut state, now) = known(Generation::Older);
    assert_eq!(state.next(now), Step::Beat { probe: false });
    state.on_change();
    assert_eq!(state.next(now), Step::Wait { until: now + 15 * SECOND });
    state.on_beat(Beat::Acknowledged, now);
    assert_eq!(state.next(now), Step::Beat { probe: false });
    state.on_change();
    assert_eq!(state.next(now + 15 * SECOND), Step::Beat { probe: false });
    state.on_beat(Beat::Acknowledged, now + 15 * SECOND);
    state.on_beat(Beat::Acknowledged, now + 15 * SECOND);
    assert!(matches!(state.next(now + 15 * SECOND), Step::Wait { .. }), "it has been told");
    assert_eq!(state.next(now + 30 * SECOND), Step::Beat { probe: false });
    state.on_role(Role::Standby, now + 30 * SECOND);
    assert_eq!(state.next(now + 30 * SECOND), Step::Beat { probe: false }, "that it is left does not wait");
}

#[test]
fn new_tasks_are_registered_at_once_and_heartbeats_go_on_until_they_are() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_new_tasks(now);
    assert_eq!(state.next(now), Step::Register);
    state.on_not_registered(Some(5 * SECOND), now);
    // More of them do not shorten the delay.
    state.on_new_tasks(now);
    assert_eq!(state.next(now), Step::Wait { until: now + 5 * SECOND });
    state.on_change();
    assert_eq!(state.next(now), Step::Beat { probe: false });
    assert_eq!(state.next(now + 5 * SECOND), Step::Register);
    state.on_registered(Generation::Older, Role::Active, now + 5 * SECOND);
    assert_eq!(state.next(now + 5 * SECOND), Step::Beat { probe: false });
    assert_eq!(state.next(now + 5 * SECOND), Step::Wait { until: now + 20 * SECOND });
}

#[test]
fn heartbeats_go_on_while_a_registration_hangs_and_no_second_one_begins() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_new_tasks(now);
    assert_eq!(state.next(now), Step::Register);
    assert_eq!(state.next(now), Step::Wait { until: now + 15 * SECOND });
    assert_eq!(state.next(now + 15 * SECOND), Step::Beat { probe: false });
    state.on_beat(Beat::Forgotten, now + 15 * SECOND);
    assert!(matches!(state.next(now + 15 * SECOND), Step::Wait { .. }));
    state.on_not_registered(Some(SECOND), now + 16 * SECOND);
    assert_eq!(state.next(now + 17 * SECOND), Step::Register);
}

#[test]
fn an_orchestrator_that_is_left_or_said_goodbye_to_is_not_registered_with_for_new_tasks() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_role(Role::Standby, now);
    assert_eq!(state.next(now), Step::Beat { probe: false }, "it is told that it is left");
    state.on_new_tasks(now);
    assert!(matches!(state.next(now), Step::Wait { .. }));
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_new_tasks(now);
    state.on_stop();
    assert_eq!(state.next(now), Step::SayGoodbye);
}

#[test]
fn the_newer_generation_is_asked_first_every_second_time_and_when_in_doubt() {
    let (mut state, now) = acknowledged(Generation::Newer);
    for probe in [true, false, true] {
        state.on_change();
        assert_eq!(state.next(now), Step::Beat { probe });
        state.on_beat(Beat::Acknowledged, now);
    }
    state.on_change();
    state.on_doubt();
    assert_eq!(state.next(now), Step::Beat { probe: true });
}

#[test]
fn a_worker_that_was_forgotten_registers_at_once() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_beat(Beat::Forgotten, now);
    assert_eq!(state.next(now), Step::Register);
}

#[test]
fn an_orchestrator_that_forgets_at_once_is_no_hot_loop() {
    let (mut state, began) = known(Generation::Older);
    let mut now = began;
    let mut registrations = 0;
    while now < began + 600 * SECOND {
        match state.next(now) {
            Step::Register => {
                registrations += 1;
                state.on_registered(Generation::Older, Role::Active, now);
            }
            Step::Beat { .. } => {
                state.on_beat(Beat::Forgotten, now);
            }
            Step::Wait { until } => now = until,
            step => panic!("{step:?}"),
        }
    }
    assert!(registrations < 100, "{registrations} in ten minutes");
}

#[test]
fn goodbye_comes_first_and_being_forgotten_no_longer_matters() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_change();
    state.on_stop();
    assert_eq!(state.next(now), Step::SayGoodbye);
    state.on_goodbye(Beat::Acknowledged, false, now);
    state.on_beat(Beat::Forgotten, now);
    assert_eq!(state.next(now), Step::Beat { probe: false });
    assert_eq!(state.next(now), Step::Wait { until: now + SECOND });
    assert_eq!(state.next(now + SECOND), Step::AbandonPolls);
    assert_eq!(state.next(now + SECOND), Step::Wait { until: now + 15 * SECOND }, "heartbeats go on");
}

#[test]
fn open_polls_are_abandoned_by_the_outcome_of_the_goodbye() {
    for (beat, await_polls, expected) in [
        (Beat::Acknowledged, false, Some(SECOND)),
        (Beat::Acknowledged, true, None),
        (Beat::Refused, false, None),
        (Beat::TooMany, false, None),
        (Beat::Forgotten, false, Some(SECOND)),
        (Beat::Unreachable, false, Some(Duration::ZERO)),
        (Beat::Unreachable, true, Some(Duration::ZERO)),
    ] {
        let (mut state, now) = acknowledged(Generation::Newer);
        state.on_stop();
        state.on_goodbye(beat, await_polls, now);
        assert_eq!(state.abandon_polls_at(), expected.map(|delay| now + delay), "{beat:?} {await_polls}");
    }
}

#[test]
fn a_stranger_is_not_sent_a_goodbye() {
    let (mut state, now) = acknowledged(Generation::Newer);
    state.on_beat(Beat::Forgotten, now);
    state.on_stop();
    assert_eq!(state.next(now), Step::AbandonPolls);
    assert_eq!(state.next(now), Step::End);
}

#[test]
fn a_standby_is_left_alone_until_it_is_its_turn() {
    let now = Instant::now();
    let mut state = conversation(Role::Standby, now);
    assert_eq!(state.next(now), Step::Wait { until: now + LONG });
    state.on_role(Role::Active, now + 5 * SECOND);
    assert_eq!(state.next(now + 5 * SECOND), Step::Register, "at once");
}

#[test]
fn one_that_is_left_is_told_and_gets_heartbeats_until_its_last_task_is_settled() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_role(Role::Standby, now);
    assert!(state.is_left());
    assert_eq!(state.next(now), Step::Beat { probe: false }, "at once");
    assert_eq!(state.next(now + 15 * SECOND), Step::Beat { probe: false });
    state.on_settled();
    assert_eq!(state.next(now + 15 * SECOND), Step::Wait { until: now + 15 * SECOND + LONG });
    state.on_role(Role::Active, now + 16 * SECOND);
    assert_eq!(state.next(now + 16 * SECOND), Step::Register, "it may have forgotten us");
}

#[test]
fn one_that_is_down_is_probed_every_ten_seconds_and_told_that_nothing_is_accepted() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_role(Role::Probed(Pace::Seldom), now);
    assert_eq!(state.next(now), Step::Beat { probe: false });
    assert_eq!(state.next(now), Step::Wait { until: now + 10 * SECOND });
    for probe in 1..4 {
        let at = now + probe * 10 * SECOND;
        // It is due for heartbeats too.
        while let Step::Beat { .. } = state.next(at - SECOND) {
            state.on_beat(Beat::Acknowledged, at - SECOND);
        }
        assert_eq!(state.next(at), Step::Register);
        state.on_not_registered(None, at);
    }
    let at = now + 40 * SECOND;
    assert_eq!(state.next(at), Step::Register);
    state.on_registered(Generation::Older, Role::Active, at);
    assert_eq!(state.next(at), Step::Beat { probe: false });
    assert_eq!(state.next(at + SECOND), Step::Wait { until: at + 15 * SECOND });
}

#[test]
fn one_that_is_left_is_told_despite_a_silence() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.gate.on_refused(now, None);
    state.on_beat(Beat::TooMany, now);
    state.on_change();
    assert!(matches!(state.next(now), Step::Wait { .. }));
    state.on_role(Role::Standby, now);
    assert_eq!(state.next(now), Step::Beat { probe: false });
    assert!(matches!(state.next(now + 20 * SECOND), Step::Wait { .. }), "once");
    // A probe that was accepted too late.
    state.on_registered(Generation::Older, Role::Standby, now);
    assert_eq!(state.next(now), Step::Beat { probe: false });
}

#[test]
fn one_that_is_active_again_before_it_was_settled_still_hears_of_us() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_role(Role::Standby, now);
    assert_eq!(state.next(now), Step::Beat { probe: false });
    state.on_role(Role::Active, now);
    assert!(!state.is_left());
    assert_eq!(state.next(now), Step::Register);
    for _ in 0..10 {
        state.on_not_registered(None, now);
        // It knows us from before: that makes no hot loop of registrations.
        state.on_beat(Beat::Acknowledged, now);
    }
    let mut goes_on = state;
    assert!(matches!(goes_on.next(now + 15 * SECOND), Step::Beat { .. } | Step::Register));
    goes_on.on_stop();
    assert_eq!(goes_on.next(now), Step::SayGoodbye, "it has an open poll or a task of ours yet");
}

#[test]
fn registrations_keep_a_silence_whatever_the_role() {
    let now = Instant::now();
    for role in [Role::Active, Role::Probed(Pace::Backoff)] {
        let mut state = conversation(Role::Active, now);
        assert_eq!(state.next(now), Step::Register);
        state.on_not_registered(Some(61 * SECOND), now);
        state.on_role(Role::Standby, now + 2 * SECOND);
        state.on_role(role, now + 3 * SECOND);
        assert_eq!(state.next(now + 3 * SECOND), Step::Wait { until: now + 61 * SECOND }, "{role:?}");
    }
}

#[test]
fn when_all_are_down_each_is_tried_at_once_but_for_the_one_that_just_was() {
    let now = Instant::now();
    let mut other = conversation(Role::Standby, now);
    other.on_role(Role::Probed(Pace::Backoff), now);
    assert_eq!(other.next(now), Step::Register);
    let mut just_tried = conversation(Role::Active, now);
    assert_eq!(just_tried.next(now), Step::Register);
    just_tried.on_not_registered(Some(SECOND), now);
    just_tried.on_role(Role::Probed(Pace::Backoff), now);
    assert_eq!(just_tried.next(now), Step::Wait { until: now + SECOND });
}

#[test]
fn one_that_forgets_us_while_it_is_left_is_not_registered_with() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_role(Role::Standby, now);
    state.on_beat(Beat::Forgotten, now);
    assert_eq!(state.next(now), Step::Wait { until: now + LONG });
}

#[test]
fn one_that_is_left_hears_the_goodbye_too() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_role(Role::Standby, now);
    state.on_stop();
    assert_eq!(state.next(now), Step::SayGoodbye);
}

#[test]
fn silence_is_kept_but_for_the_goodbye() {
    let (mut state, now) = acknowledged(Generation::Older);
    state.on_sent(now, true);
    state.gate.on_refused(now, None);
    state.on_beat(Beat::TooMany, now);
    state.on_change();
    assert!(matches!(state.next(now), Step::Wait { .. }));
    state.on_stop();
    assert_eq!(state.next(now), Step::SayGoodbye);
}

#[test]
fn heartbeats_that_hang_do_not_hold_up_the_probes() {
    let (mut state, now) = acknowledged(Generation::Older);
    assert_eq!(state.next(now + 15 * SECOND), Step::Beat { probe: false });
    let now = now + 25 * SECOND;
    state.on_beat(Beat::Unreachable, now);
    state.on_role(Role::Probed(Pace::Seldom), now);
    let mut steps = Vec::new();
    let mut at = now;
    while at < now + 60 * SECOND {
        match state.next(at) {
            Step::Wait { until } => at = until,
            step => {
                steps.push(step);
                at += 10 * SECOND;
                state.on_not_registered(None, at);
            }
        }
    }
    assert_eq!(steps, [Step::Register; 5], "the first after ten seconds, and each hangs for as long");
}
