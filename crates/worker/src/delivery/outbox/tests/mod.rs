mod passage;

use rxon::transport::Response;
use rxon::{Error, ErrorKind, ExchangeProgress, JobId};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn outbox(quick_tries: u32) -> Outbox {
    let settings = OutboxSettings {
        quick_tries,
        first_delay: SECOND,
        max_age: 86_400 * SECOND,
        resend_ambiguous: true,
        max_at_once: 4,
        sharers: 1,
    };
    Outbox::new(settings, RateGate::default(), Rng::with_seed(3))
}

fn entry(name: &str) -> OutboxEntry {
    OutboxEntry::new(
        TaskId::received(name).expect("not empty"),
        JobId::received("j").expect("not empty"),
        Bytes::from_static(b"{\"status\":\"success\"}"),
    )
}

fn refused() -> Error {
    Error::new(ErrorKind::Connect, "refused")
}

fn reply(outbox: &mut Outbox, id: Id, reply: &Reply, now: Instant) -> Option<Verdict> {
    outbox.on_reply(id, reply, reply.answer().as_ref(), now)
}

/// An answer comes, of which the peer tells the gate.
fn answer(outbox: &mut Outbox, id: Id, response: &Response, now: Instant) -> Verdict {
    match response.status {
        429 => outbox.gate.on_refused(now, response.retry_after),
        _ => outbox.gate.on_accepted(),
    }
    reply(outbox, id, &Reply::Answer(response.clone()), now).expect("the result is there")
}

/// No answer comes.
fn fail(outbox: &mut Outbox, id: Id, error: Error, recognises_repeats: bool, now: Instant) -> Verdict {
    reply(outbox, id, &Reply::NoAnswer { error, recognises_repeats }, now).expect("the result is there")
}

/// Makes tries until the verdict is not a delay, or `tries` were made; gives what was waited before each.
fn delays(outbox: &mut Outbox, now: &mut Instant, tries: usize, response: &Response) -> Vec<Verdict> {
    (0..tries)
        .map_while(|_| {
            let (id, _) = outbox.take(*now)?;
            let verdict = answer(outbox, id, response, *now);
            if let Verdict::Later { delay, .. } | Verdict::Unauthorized(delay) = verdict {
                *now += delay;
            }
            Some(verdict)
        })
        .collect()
}

#[test]
fn quick_tries_double_then_the_result_is_kept_and_offered_every_thirty_seconds() {
    let (mut outbox, mut now) = (outbox(4), Instant::now());
    outbox.push(entry("t"), now);
    let verdicts = delays(&mut outbox, &mut now, 7, &Response::new(503, "later"));
    let bounds =
        [(1.0, 1.25), (2.0, 2.5), (4.0, 5.0), (30.0, 37.5), (30.0, 37.5), (30.0, 37.5), (30.0, 37.5)];
    for (index, (verdict, (low, high))) in verdicts.iter().zip(bounds).enumerate() {
        let Verdict::Later { delay, newly_kept } = verdict else { panic!("{verdict:?}") };
        assert!((low..=high).contains(&delay.as_secs_f64()), "{index}: {delay:?}");
        assert_eq!(*newly_kept, index == 3, "it is logged once");
    }
    assert_eq!(verdicts.len(), 7);
    assert_eq!(outbox.len(), 1);
}

#[test]
fn an_acknowledged_or_ignored_result_is_gone() {
    let now = Instant::now();
    for (body, expected) in [
        (r#"{"status":"ok"}"#, Verdict::Acknowledged),
        (r#"{"status":"accepted","transition":"x"}"#, Verdict::Acknowledged),
        ("", Verdict::Acknowledged),
        ("[[[1]]]", Verdict::Acknowledged),
        (r#"{"status":"ignored","reason":"stale_task"}"#, Verdict::Ignored("stale_task".to_owned())),
    ] {
        let mut outbox = outbox(5);
        outbox.push(entry("t"), now);
        let (id, _) = outbox.take(now).expect("ready");
        assert_eq!(answer(&mut outbox, id, &Response::new(200, body), now), expected);
        assert_eq!((outbox.len(), outbox.bytes, outbox.next_due(now)), (0, 0, None));
    }
}

#[test]
fn a_refused_body_is_replaced_once_and_its_replacement_rejected() {
    let (mut outbox, now) = (outbox(5), Instant::now());
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    let verdict = answer(&mut outbox, id, &Response::new(413, "too large"), now);
    assert_eq!(verdict, Verdict::Replace("result refused: 413, 20 bytes".to_owned()));
    outbox.replace(id, Bytes::from_static(b"{}"), None, now);
    let (id, entry) = outbox.take(now).expect("the replacement");
    assert!(entry.is_replacement);
    assert!(matches!(answer(&mut outbox, id, &Response::new(400, "{}"), now), Verdict::Rejected(_)));
    assert_eq!((outbox.len(), outbox.bytes), (0, 0));
}

#[test]
fn another_servers_word_is_final_for_a_body_only_after_ten_minutes() {
    const PAGE: &str = "<html>not here</html>";
    for (status, body, minutes) in [
        (200, PAGE, None),
        (404, PAGE, Some(10.0)),
        (400, "", Some(10.0)),
        (422, "{\"half\":", Some(10.0)),
        (404, r#"{"error":"e"}"#, Some(0.0)),
        (413, PAGE, Some(0.0)),
    ] {
        let (mut outbox, began) = (outbox(3), Instant::now());
        let mut now = began;
        outbox.push(entry("t"), now);
        let verdicts = delays(&mut outbox, &mut now, 10_000, &Response::new(status, body));
        let took = now.duration_since(began).as_secs_f64() / 60.0;
        if let Some(minutes) = minutes {
            let expected = Verdict::Replace(format!("result refused: {status}, 20 bytes"));
            assert_eq!(verdicts.last(), Some(&expected), "{status} {body}");
            assert!((minutes..minutes + 0.7).contains(&took), "{status} {body}: {took} minutes");
        } else {
            assert!(matches!(verdicts.last(), Some(Verdict::Rejected(_))), "{status} {body}");
            assert!(took >= 1440.0, "{status} {body}: {took} minutes");
        }
    }
    // Anything else in between: the ten minutes begin anew.
    let (mut outbox, mut now) = (outbox(3), Instant::now());
    outbox.push(entry("t"), now);
    for _ in 0..10 {
        delays(&mut outbox, &mut now, 16, &Response::new(404, PAGE));
        delays(&mut outbox, &mut now, 1, &Response::new(502, PAGE));
    }
    assert_eq!(outbox.len(), 1);
}

#[test]
fn a_result_of_an_earlier_process_gets_an_hour_whatever_its_age_seems_to_be() {
    for (age, hours) in [(0, 24.0), (3 * 86_400, 1.0), (86_400 - 7200, 2.0)] {
        let (mut outbox, began) = (outbox(3), Instant::now());
        let mut now = began;
        outbox.restore(entry("t"), age * SECOND, now);
        let verdicts = delays(&mut outbox, &mut now, 10_000, &Response::new(502, "<html>"));
        assert_eq!(verdicts.last(), Some(&Verdict::Rejected(verdict::TOO_OLD.to_owned())));
        let took = now.duration_since(began).as_secs_f64() / 3600.0;
        assert!((hours..hours + 0.1).contains(&took), "{took} hours, {age} s old");
    }
}

#[test]
fn a_wrong_token_never_makes_a_result_final() {
    let (mut outbox, mut now) = (outbox(1), Instant::now());
    outbox.push(entry("t"), now);
    for verdict in delays(&mut outbox, &mut now, 20, &Response::new(403, "no")) {
        let Verdict::Unauthorized(delay) = verdict else { panic!("{verdict:?}") };
        assert!((5.0..=6.25).contains(&delay.as_secs_f64()));
    }
    assert_eq!(outbox.len(), 1);
}

#[test]
fn a_429_silences_all_results_and_is_no_try() {
    let (mut outbox, now) = (outbox(1), Instant::now());
    outbox.push(entry("a"), now);
    outbox.push(entry("b"), now);
    let (id, _) = outbox.take(now).expect("ready");
    let verdict = answer(&mut outbox, id, &Response::new(429, ""), now);
    let Verdict::Silence(silence) = verdict else { panic!("{verdict:?}") };
    assert!((61.0..=66.0).contains(&silence.as_secs_f64()));
    assert!(outbox.take(now + 60 * SECOND).is_none());
    assert_eq!(outbox.next_due(now), Some(now + silence));
    assert!(outbox.take(now + silence).is_some() && outbox.take(now + silence).is_some());
    let mut told = outbox_with_retry_after();
    assert_eq!(told.next_due(told_at()), Some(told_at() + 7 * SECOND));
    assert!(told.take(told_at() + 7 * SECOND).is_some());
}

fn told_at() -> Instant {
    static AT: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *AT.get_or_init(Instant::now)
}

fn outbox_with_retry_after() -> Outbox {
    let mut outbox = outbox(1);
    outbox.push(entry("a"), told_at());
    let (id, _) = outbox.take(told_at()).expect("ready");
    let response = Response { retry_after: Some(7 * SECOND), ..Response::new(429, "") };
    answer(&mut outbox, id, &response, told_at());
    outbox
}

#[test]
fn an_unknown_job_is_final_after_the_quick_tries() {
    let (mut outbox, mut now) = (outbox(3), Instant::now());
    outbox.push(entry("t"), now);
    let verdicts = delays(&mut outbox, &mut now, 9, &Response::new(500, r#"{"error":"Job not found"}"#));
    assert_eq!(verdicts.len(), 3);
    assert_eq!(verdicts[2], Verdict::Rejected("500: Job not found".to_owned()));
}

#[test]
fn a_named_error_is_borne_for_an_hour_and_an_error_of_a_proxy_for_a_day() {
    for (body, hours) in [(r#"{"error":"broken"}"#, 1.0), ("<html>bad gateway</html>", 24.0)] {
        let (mut outbox, began) = (outbox(3), Instant::now());
        let mut now = began;
        outbox.push(entry("t"), now);
        let verdicts = delays(&mut outbox, &mut now, 10_000, &Response::new(502, body));
        assert!(matches!(verdicts.last(), Some(Verdict::Rejected(_))), "{body}");
        let took = now.duration_since(began).as_secs_f64() / 3600.0;
        assert!((hours..hours + 0.1).contains(&took), "{took} hours for {body}");
    }
}

#[test]
fn an_ambiguous_try_is_repeated_as_the_settings_say() {
    let now = Instant::now();
    let lost = || {
        Error::new(ErrorKind::Closed, "")
            .with_progress(ExchangeProgress { written: true, ..ExchangeProgress::default() })
    };
    for (resend, newer, again) in [(true, false, true), (false, true, true), (false, false, false)] {
        let mut outbox = outbox(5);
        outbox.settings.resend_ambiguous = resend;
        outbox.push(entry("t"), now);
        let (id, _) = outbox.take(now).expect("ready");
        let verdict = fail(&mut outbox, id, lost(), newer, now);
        assert_eq!(matches!(verdict, Verdict::Later { .. }), again, "{verdict:?}");
        assert_eq!(outbox.len(), usize::from(again));
    }
    let mut outbox = outbox(5);
    outbox.settings.resend_ambiguous = false;
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    assert!(
        matches!(fail(&mut outbox, id, refused(), false, now), Verdict::Later { .. }),
        "never sent at all"
    );
}

#[test]
fn the_status_of_an_answer_that_was_cut_off_is_an_answer() {
    let now = Instant::now();
    for (status, newer, final_if_forbidden) in [(200, false, true), (200, true, false), (500, false, false)] {
        for resend in [true, false] {
            let acknowledged = final_if_forbidden && !resend;
            let progress = ExchangeProgress {
                written: true,
                answered: true,
                status: Some(status),
                ..Default::default()
            };
            let error = Error::new(ErrorKind::Closed, "").with_progress(progress);
            let mut outbox = outbox(5);
            outbox.settings.resend_ambiguous = resend;
            outbox.push(entry("t"), now);
            let (id, _) = outbox.take(now).expect("ready");
            let verdict = fail(&mut outbox, id, error, newer, now);
            let expected = if acknowledged { verdict == Verdict::Acknowledged } else { outbox.len() == 1 };
            assert!(expected, "{status} {newer} {resend}: {verdict:?}");
        }
    }
}

#[test]
fn the_same_result_is_never_taken_twice_at_once() {
    let (mut outbox, now) = (outbox(5), Instant::now());
    outbox.push(entry("t"), now);
    assert!(outbox.take(now).is_some());
    assert!(outbox.take(now).is_none());
    outbox.offer_all(true, now);
    assert!(outbox.take(now).is_none(), "it is in flight");
}

#[test]
fn the_limit_is_learned_and_the_age_counts_while_it_holds() {
    let (mut outbox, mut now) = (outbox(1), Instant::now());
    let mut refusals = 0;
    for round in 0..400 {
        outbox.push(entry(&round.to_string()), now);
    }
    // The orchestrator takes forty, then nothing before a minute of silence.
    let mut taken = 0;
    while outbox.len() > 0 {
        let Some((id, _)) = outbox.take(now) else {
            now = outbox.next_due(now).expect("silence");
            taken = 0;
            continue;
        };
        taken += 1;
        let status = if taken > 40 { 429 } else { 200 };
        refusals += u32::from(status == 429);
        answer(&mut outbox, id, &Response::new(status, ""), now);
    }
    assert_eq!(refusals, 1, "the first teaches the limit");
    outbox.push(entry("old"), now);
    now += 61 * SECOND;
    outbox.settings.max_age = 60 * SECOND;
    let (id, _) = outbox.take(now).expect("ready");
    assert!(matches!(answer(&mut outbox, id, &Response::new(429, ""), now), Verdict::Rejected(_)));
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_result_that_a_sender_lost_is_tried_again() {
    let (mut outbox, now) = (outbox(5), Instant::now());
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    assert!(reply(&mut outbox, id, &Reply::Unknown, now).is_some());
    assert!(outbox.holds(&entry("t").task_id));
    let due = outbox.next_due(now).expect("later");
    assert!(outbox.take(due).is_some());
}

#[test]
fn a_sender_that_is_lost_after_the_verdict_changes_nothing() {
    let (mut outbox, now) = (outbox(5), Instant::now());
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    assert_eq!(answer(&mut outbox, id, &Response::new(200, "{}"), now), Verdict::Acknowledged);
    assert_eq!(reply(&mut outbox, id, &Reply::Unknown, now), None);
    assert_eq!((outbox.len(), outbox.next_due(now)), (0, None));
}

#[test]
fn a_sender_that_is_lost_after_a_delay_changes_nothing_either() {
    let (mut outbox, now) = (outbox(5), Instant::now());
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    assert!(matches!(answer(&mut outbox, id, &Response::new(500, ""), now), Verdict::Later { .. }));
    let due = outbox.next_due(now).expect("later");
    assert_eq!(reply(&mut outbox, id, &Reply::Unknown, now), None);
    assert!(outbox.all_tried(now));
    assert_eq!(outbox.next_due(now), Some(due));
    assert_eq!(outbox.take(due).map(|(id, _)| id), Some(id));
    assert!(outbox.take(due + 600 * SECOND).is_none() && !outbox.all_tried(due), "it is offered once");
    // A sender that is lost before the replacement is there.
    assert!(matches!(answer(&mut outbox, id, &Response::new(413, ""), due), Verdict::Replace(_)));
    assert!(reply(&mut outbox, id, &Reply::Unknown, due).is_some());
    assert!(outbox.next_due(due).is_some());
}

#[test]
fn a_task_is_held_until_its_last_result_is_gone() {
    let (mut outbox, now) = (outbox(5), Instant::now());
    let task = entry("t").task_id;
    outbox.push(entry("t"), now);
    let (id, _) = outbox.take(now).expect("ready");
    answer(&mut outbox, id, &Response::new(400, "{}"), now);
    outbox.replace(id, Bytes::new(), None, now);
    assert!(outbox.holds(&task));
    let (id, _) = outbox.take(now).expect("ready");
    answer(&mut outbox, id, &Response::new(200, ""), now);
    assert!(!outbox.holds(&task));
}

#[test]
fn a_failure_that_no_idle_worker_could_take_over_is_kept_at_once() {
    let (mut outbox, mut now) = (outbox(5), Instant::now());
    outbox.push(entry("t"), now);
    let answer = Response::new(500, r#"{"error":"No suitable workers for task type 'echo'"}"#);
    for verdict in delays(&mut outbox, &mut now, 3, &answer) {
        let Verdict::Later { delay, .. } = verdict else { panic!("{verdict:?}") };
        assert!(delay >= 30 * SECOND, "{delay:?}");
    }
}
