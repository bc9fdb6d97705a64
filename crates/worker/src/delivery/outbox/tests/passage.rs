//! How many results are on their way at once.

use super::*;

/// Eight senders, an orchestrator that answers after this time, and all results until none is left or a time is over.
/// Returns the time of each try and its result.
fn drive(
    outbox: &mut Outbox,
    now: &mut Instant,
    until: Instant,
    takes: Duration,
    status: u16,
) -> (Vec<(Instant, Id)>, usize) {
    let (mut tries, mut under_way, mut most) = (Vec::new(), VecDeque::new(), 0);
    while *now < until && (outbox.len() > 0) {
        while under_way.len() < 8
            && let Some((id, _)) = outbox.take(*now)
        {
            tries.push((*now, id));
            under_way.push_back((*now + takes, id));
            most = most.max(under_way.len());
        }
        let answered = under_way.front().map(|(at, _)| *at);
        let due = if under_way.len() < 8 { outbox.next_due(*now) } else { None };
        *now = [answered, due].into_iter().flatten().min().expect("something happens");
        if under_way.front().is_some_and(|(at, _)| *at <= *now) {
            let (_, id) = under_way.pop_front().expect("there");
            answer(outbox, id, &Response::new(status, "{}"), *now);
        }
    }
    for (_, id) in under_way {
        answer(outbox, id, &Response::new(status, "{}"), *now);
    }
    (tries, most)
}

#[test]
fn however_many_wait_an_outage_sees_few_tries_and_its_end_no_burst() {
    for (takes, is_restored) in [(1, false), (250, false), (1, true)] {
        let takes = Duration::from_millis(takes);
        let (mut outbox, mut now) = (outbox(5), Instant::now());
        for number in 0..2000 {
            let entry = entry(&number.to_string());
            if is_restored { outbox.restore(entry, SECOND, now) } else { outbox.push(entry, now) }
        }
        let end = now + 120 * SECOND;
        let (tries, most) = drive(&mut outbox, &mut now, end, takes, 503);
        let fast = |window: &[(Instant, Id)]| window[window.len() - 1].0 - window[0].0 < SECOND;
        // Those that are under way when the first fails are as many as there are senders.
        assert_eq!(most, if is_restored { 1 } else { 8 });
        let (first, rest) = tries.split_at(most);
        assert!(!rest.windows(11).any(fast), "{takes:?}: more than 10 a second");
        assert!(rest.len() >= 400, "{takes:?}: {} tries in two minutes", rest.len());
        let different: std::collections::HashSet<_> = tries.iter().map(|(_, id)| id).collect();
        assert!(different.len() >= tries.len() - 5 * first.len(), "{} of {}", different.len(), tries.len());
        // It takes them again.
        let end = now + 300 * SECOND;
        let (tries, most) = drive(&mut outbox, &mut now, end, takes, 200);
        assert_eq!(outbox.len(), 0, "all got through");
        assert_eq!((tries.len(), most), (2000, 4), "one after the other, as many at once as there are slots");
        // From then on the senders are the limit again.
        for number in 0..20 {
            outbox.push(entry(&number.to_string()), now);
        }
        assert_eq!(drive(&mut outbox, &mut now, end + SECOND, takes, 200).1, 8);
    }
}

#[test]
fn a_try_that_hangs_since_the_outage_holds_up_nobody_after_it() {
    let (mut outbox, mut now) = (outbox(5), Instant::now());
    outbox.passage = Passage::new(1);
    for number in 0..4 {
        outbox.push(entry(&number.to_string()), now);
    }
    let [_, (failing, _)] = [(); 2].map(|()| outbox.take(now).expect("ready"));
    fail(&mut outbox, failing, refused(), true, now);
    now += SECOND / 10;
    let (probe, _) = outbox.take(now).expect("one finds out");
    answer(&mut outbox, probe, &Response::new(200, ""), now);
    let (next, _) = outbox.take(now).expect("the way is open");
    assert!(outbox.take(now + SECOND * 60).is_none(), "one at a time");
    answer(&mut outbox, next, &Response::new(200, ""), now);
    assert!(outbox.take(now + SECOND * 60).is_some());
}

#[test]
fn at_the_end_of_the_worker_a_try_that_hangs_holds_up_no_other() {
    let (mut outbox, mut now) = (outbox(5), Instant::now());
    for name in ["a", "b", "c"] {
        outbox.push(entry(name), now);
    }
    let (id, _) = outbox.take(now).expect("ready");
    fail(&mut outbox, id, refused(), true, now);
    now += SECOND / 10;
    assert!(outbox.take(now).is_some() && outbox.take(now + SECOND).is_none(), "one at a time");
    outbox.offer_all(true, now);
    assert!(!outbox.all_tried(now));
    assert!(outbox.take(now).is_some());
    assert!(outbox.take(now).is_none(), "but no burst");
    assert!(outbox.take(now + SECOND / 10).is_some());
}

#[test]
fn a_waiting_result_is_offered_when_the_orchestrator_is_up_again() {
    let (mut outbox, now) = (outbox(1), Instant::now());
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    fail(&mut outbox, id, refused(), true, now);
    assert!(outbox.take(now).is_none());
    outbox.offer_all(false, now);
    assert!(outbox.take(now).is_some());
    // That try hangs when the orchestrator is up once more.
    outbox.push(entry("u"), now);
    assert!(outbox.take(now + SECOND).is_none());
    outbox.offer_all(false, now);
    assert!(outbox.take(now).is_some());
}

#[test]
fn refused_credentials_hold_up_all_results_and_are_tried_with_one() {
    let (mut outbox, mut now) = (outbox(1), Instant::now());
    for name in ["a", "b", "c", "d"] {
        outbox.push(entry(name), now);
    }
    let under_way: Vec<_> = (0..2).filter_map(|_| outbox.take(now)).collect();
    for (id, _) in under_way {
        assert!(matches!(answer(&mut outbox, id, &Response::new(401, ""), now), Verdict::Unauthorized(_)));
    }
    for status in [403, 401] {
        assert!(outbox.take(now + 4 * SECOND).is_none());
        assert!(outbox.has_more());
        now = outbox.next_due(now).expect("a pause");
        let (id, _) = outbox.take(now).expect("one finds out");
        assert!(outbox.take(now).is_none(), "but only one");
        assert_eq!((outbox.has_more(), outbox.next_due(now)), (false, None));
        answer(&mut outbox, id, &Response::new(status, ""), now);
    }
    now += 7 * SECOND;
    let (id, _) = outbox.take(now).expect("one finds out");
    fail(&mut outbox, id, refused(), true, now);
    now = outbox.next_due(now).expect("a moment later");
    let (id, _) = outbox.take(now).expect("no answer: another finds out");
    assert!(outbox.take(now).is_none());
    answer(&mut outbox, id, &Response::new(200, ""), now);
    assert!(outbox.take(now).is_some() && outbox.take(now).is_some());
}
