//! The course of results over time: the real delivery on a paused clock.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rxon::transport::memory::{self, Incoming, Peer};
use rxon::transport::{Operation, Response};
use serde_json::{Value, json};
use testkit::capture::Logs;

use super::*;
use crate::peer::rate::RateGate;

fn started() -> (Arc<Delivery>, Peer) {
    let (connector, peer) = memory::pair();
    (delivery(Arc::new(connector)), peer)
}

async fn next(peer: &mut Peer) -> Incoming {
    let incoming = peer.next().await.expect("a request");
    assert!(matches!(incoming.request.operation, Operation::Result));
    incoming
}

/// Answers every try alike until the result is gone, and gives the pauses before the tries.
async fn pauses(peer: &mut Peer, delivery: &Delivery, answer: &Response) -> Vec<Duration> {
    let mut pauses = Vec::new();
    let mut last = Instant::now();
    loop {
        tokio::select! {
            incoming = next(peer) => {
                pauses.push(last.elapsed());
                last = Instant::now();
                incoming.answer(Ok(answer.clone()));
            }
            () = delivery.empty() => return pauses,
        }
    }
}

fn hours(pauses: &[Duration]) -> f64 {
    pauses.iter().sum::<Duration>().as_secs_f64() / 3600.0
}

#[tokio::test(start_paused = true)]
async fn after_the_quick_tries_it_is_kept_and_offered_every_thirty_seconds_for_a_day() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (delivery, mut peer) = started();
    delivery.push(&result(0), None).await;
    let pauses = pauses(&mut peer, &delivery, &Response::new(502, "<html>bad gateway</html>")).await;
    for (index, low) in [0.0, 1.0, 2.0, 4.0, 8.0].into_iter().enumerate() {
        let pause = pauses[index].as_secs_f64();
        assert!((low..=low * 1.25 + 0.1).contains(&pause), "{pause} before try {index}");
    }
    for pause in &pauses[5..] {
        assert!((30.0..=37.6).contains(&pause.as_secs_f64()), "{pause:?}");
    }
    assert!((24.0..24.1).contains(&hours(&pauses)), "{} hours", hours(&pauses));
    assert_eq!((logs.count("it is kept"), logs.count("ERROR")), (1, 1));
    assert_eq!(logs.count("the result is given up"), 1, "{logs:?}");
    assert_eq!(delivery.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_job_has_its_quick_tries_and_an_error_of_the_orchestrators_own_an_hour() {
    for (status, error, tries, hour) in [
        (500, "Job not found", Some(5), 0.0),
        (500, "no such thing", None, 1.0),
        (503, "Job not found", Some(5), 0.0),
    ] {
        let logs = Logs::new();
        let _guard = logs.start();
        let (delivery, mut peer) = started();
        delivery.push(&result(0), None).await;
        let answer = Response::new(status, json!({"error": error}).to_string());
        let pauses = pauses(&mut peer, &delivery, &answer).await;
        assert!(tries.is_none_or(|tries| tries == pauses.len()), "{} tries", pauses.len());
        assert!((hour..hour + 0.02).contains(&hours(&pauses)), "{} hours for `{error}`", hours(&pauses));
        let line = logs.wait_for("the result is given up").await;
        assert!(
            line.contains("ERROR") && line.contains(error) && line.contains(&status.to_string()),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_hour_begins_anew_when_the_orchestrator_said_something_else_meanwhile() {
    let (delivery, mut peer) = started();
    delivery.push(&result(0), None).await;
    let began = Instant::now();
    let broken = Response::new(500, r#"{"error":"broken"}"#);
    while began.elapsed() < 2900 * SECOND {
        next(&mut peer).await.answer(Ok(broken.clone()));
    }
    // The connection is lost; then the proxy answers.
    drop(next(&mut peer).await);
    next(&mut peer).await.answer(Ok(broken.clone()));
    while began.elapsed() < 5000 * SECOND {
        next(&mut peer).await.answer(Ok(broken.clone()));
    }
    next(&mut peer).await.answer(Ok(ok()));
    delivery.empty().await;
}

#[tokio::test(start_paused = true)]
async fn an_orchestrator_that_is_up_again_is_offered_it_at_once_and_once() {
    let (delivery, mut peer) = started();
    delivery.push(&result(0), None).await;
    for _ in 0..5 {
        drop(next(&mut peer).await);
    }
    tokio::time::sleep(SECOND).await;
    let up = Instant::now();
    delivery.offer_all(false);
    drop(next(&mut peer).await);
    assert!(up.elapsed() < SECOND, "{:?}", up.elapsed());
    next(&mut peer).await.answer(Ok(ok()));
    assert!((30 * SECOND..38 * SECOND).contains(&up.elapsed()), "{:?}", up.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_result_is_replaced_once_with_the_reason_of_the_server() {
    for status in [400, 404, 413, 422] {
        let logs = Logs::new();
        let _guard = logs.start();
        let (delivery, mut peer) = started();
        delivery.push(&result(0), None).await;
        let first = next(&mut peer).await;
        let bytes = serde_json::to_vec(&result(0)).expect("JSON").len();
        first.answer(Ok(Response::new(status, r#"{"error":"not like this"}"#)));
        let second = next(&mut peer).await;
        let body: Value = serde_json::from_slice(&second.request.body).expect("JSON");
        assert_eq!((&body["status"], &body["task_id"]), (&json!("failure"), &json!("0")));
        let wanted = json!({
            "code": "PERMANENT_ERROR",
            "message": format!("result refused: {status}, {bytes} bytes"),
            "details": {"reason": "not like this"},
        });
        assert_eq!(body["error"], wanted);
        assert_eq!(logs.count("the result is given up"), 0);
        second.answer(Ok(Response::new(status, "no")));
        delivery.empty().await;
        let line = logs.wait_for("the result is given up").await;
        assert!(line.contains("ERROR") && line.contains("task_id=0"), "{line}");
        assert!(tokio::time::timeout(100 * SECOND, peer.next()).await.is_err(), "no third try");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_result_is_warned_about() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (delivery, mut peer) = started();
    let of = |size: usize| {
        let mut large = result(size);
        let data = json!({"text": "x".repeat(size)});
        large.data = Some(serde_json::value::to_raw_value(&data).expect("JSON"));
        large
    };
    for (size, warnings) in [(899 << 10, 0), (901 << 10, 1), (3 << 20, 2)] {
        delivery.push(&of(size), None).await;
        let incoming = next(&mut peer).await;
        let limits = (incoming.request.time_limit, incoming.request.idle_limit);
        assert_eq!(limits, (600 * SECOND, Some(30 * SECOND)), "{size} bytes");
        incoming.answer(Ok(ok()));
        delivery.empty().await;
        assert_eq!(logs.count("the result is large"), warnings, "{size} bytes");
    }
    assert!(logs.contains("return large data as files"));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_result_is_logged_counted_and_not_repeated() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (delivery, mut peer) = started();
    for (number, reason) in ["late", "cancelled", "stale_task"].into_iter().enumerate() {
        delivery.push(&result(number), None).await;
        let answer = json!({"status": "ignored", "reason": reason}).to_string();
        next(&mut peer).await.answer(Ok(Response::new(200, answer)));
        delivery.empty().await;
        let line = logs.wait_for(&format!("reason=\"{reason}\"")).await;
        assert!(line.contains(&format!("ignored={}", number + 1)) && line.contains("WARN"), "{line}");
    }
    assert!(tokio::time::timeout(100 * SECOND, peer.next()).await.is_err(), "no second try");
    assert_eq!(logs.count("the result is given up"), 0);
}

/// The orchestrator is not known to be the newer one: what it may have got decides.
#[tokio::test(start_paused = true)]
async fn an_ambiguous_try_is_not_repeated_where_that_is_forbidden_and_others_are() {
    let logs = Logs::new();
    let _guard = logs.start();
    let (connector, mut peer) = memory::pair();
    let delivery = delivery(Arc::new(connector));
    lock(&delivery.state).outbox = forbidding();
    // A fresh connection: the answer may have been lost.
    delivery.push(&result(0), None).await;
    drop(next(&mut peer).await);
    delivery.empty().await;
    assert!(logs.wait_for("the result is given up").await.contains("may have received it"));
    // One that was used before: the request most likely came too late.
    delivery.push(&result(1), None).await;
    next(&mut peer).await.answer(Ok(ok()));
    delivery.empty().await;
    delivery.push(&result(2), None).await;
    drop(next(&mut peer).await);
    next(&mut peer).await.answer(Ok(Response::new(503, "")));
    next(&mut peer).await.answer(Ok(ok()));
    delivery.empty().await;
    // Silence is ambiguous on any connection.
    delivery.push(&result(3), None).await;
    let silent = next(&mut peer).await;
    delivery.empty().await;
    drop(silent);
    assert_eq!(logs.count("the result is given up"), 2);
}

fn forbidding() -> Outbox {
    let settings = OutboxSettings {
        quick_tries: 5,
        first_delay: SECOND,
        max_age: 86_400 * SECOND,
        resend_ambiguous: false,
        sharers: 1,
    };
    Outbox::new(settings, RateGate::default(), Rng::with_seed(1))
}

/// Whatever is answered, however late, and however often everything is offered at once.
#[tokio::test(start_paused = true)]
async fn the_same_result_is_never_in_two_tries_and_none_is_lost() {
    let (delivery, mut peer) = started();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut under_way = HashSet::new();
    let mut answers = FuturesUnordered::new();
    for number in 0..100 {
        delivery.push(&result(number), None).await;
    }
    let mut acknowledged = HashSet::new();
    while acknowledged.len() < 100 {
        tokio::select! {
            incoming = next(&mut peer) => {
                let body: Value = serde_json::from_slice(&incoming.request.body).expect("JSON");
                let id = body["task_id"].as_str().expect("a text").to_owned();
                assert!(under_way.insert(id.clone()), "{id} is under way already");
                assert!(!acknowledged.contains(&id), "{id} was acknowledged");
                let (delay, kind) = (rng.u64(0..5000), rng.u8(0..10));
                answers.push(async move {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    (incoming, id, kind)
                });
            }
            Some((incoming, id, kind)) = answers.next() => {
                under_way.remove(&id);
                match kind {
                    0 => drop(incoming),
                    1 => incoming.answer(Ok(Response::new(503, ""))),
                    2 => incoming.answer(Ok(Response::new(401, ""))),
                    3 => {
                        let wait = Some(3 * SECOND);
                        incoming.answer(Ok(Response { retry_after: wait, ..Response::new(429, "") }));
                    }
                    _ => {
                        acknowledged.insert(id);
                        incoming.answer(Ok(ok()));
                    }
                }
                if kind == 4 {
                    delivery.offer_all(rng.bool());
                }
            }
        }
    }
    delivery.empty().await;
    assert!(under_way.is_empty());
}

#[tokio::test(start_paused = true)]
async fn room_is_a_matter_of_bytes_too() {
    let (delivery, mut peer) = started();
    let body = Bytes::from(vec![b' '; MAX_BYTES / 8]);
    for number in 0..8 {
        assert!(delivery.has_room(), "{number}");
        let large = OutboxEntry { body: body.clone(), ..entry(number) };
        lock(&delivery.state).outbox.push(large, Instant::now());
    }
    assert!(!delivery.has_room());
    let mut room = std::pin::pin!(delivery.room());
    assert!(tokio::time::timeout(SECOND, room.as_mut()).await.is_err());
    // A small one is taken in all the same, and wakes a sender. The blanks cannot be signed: they are replaced.
    delivery.push(&result(9), None).await;
    while !delivery.has_room() {
        next(&mut peer).await.answer(Ok(ok()));
    }
    tokio::time::timeout(SECOND, room).await.expect("room");
    assert!(delivery.seen(&task(9)).is_some());
}
