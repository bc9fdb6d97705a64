//! The table of answers, row by row: each cell is compared with what [`Peer::record`] does.

use std::collections::HashSet;

use rxon::transport::{Response, memory};
use rxon::{Error, ErrorKind, WorkerId};
use testkit::capture::Logs;
use tokio::time::Instant;

use super::answer::Counted;
use super::log::PeerCounts;
use super::*;

/// A proxy's page.
const PAGE: &str = "<html><h1>hello</h1></html>";

fn peer() -> Arc<Peer> {
    let log = PeerLog::new("http://peer/".into(), &PeerCounts::default());
    let seal = Seal::new(WorkerId::new("w1").expect("an identifier"), "token");
    Peer::new(log, Arc::new(memory::pair().0), seal)
}

/// All responses and errors that count as this answer of the table.
fn samples(answer: &str) -> Vec<Result<Response, Error>> {
    let answers = |statuses: &[u16], bodies: &[&'static str]| {
        let all = statuses.iter().flat_map(|status| bodies.iter().map(|body| Response::new(*status, *body)));
        all.map(Ok).collect::<Vec<_>>()
    };
    let statuses = |statuses: &[u16]| answers(statuses, &["", PAGE, r#"{"error":"e"}"#]);
    let json = [r#"{"error":"e"}"#, "null", " [1]\n"];
    let other = [PAGE, "404: Not Found", "{\"error\":", "\u{feff}", "{} {}"];
    let errors = |kinds: &[ErrorKind]| kinds.iter().map(|kind| Err(Error::new(*kind, ""))).collect();
    match answer {
        "good" => [answers(&[200, 202], &json), answers(&[200, 204], &["", " \r\n"])]
            .into_iter()
            .flatten()
            .collect(),
        "unknown" => answers(&[404], &json),
        "invalid" => [answers(&[400, 422], &json), statuses(&[413])].into_iter().flatten().collect(),
        "foreign" => [answers(&[200, 203, 400, 404, 422], &other), answers(&[400, 404, 422], &[""])]
            .into_iter()
            .flatten()
            .collect(),
        "unauthorized" => statuses(&[401, 403]),
        "too many" => statuses(&[429]),
        "bad" => statuses(&[302, 408, 500, 503]),
        "no connection" => errors(&[ErrorKind::Connect, ErrorKind::Tls, ErrorKind::Proxy]),
        "timeout" => errors(&[ErrorKind::Timeout]),
        "hung up" => errors(&[ErrorKind::Closed, ErrorKind::Protocol, ErrorKind::TooLarge]),
        other => panic!("`{other}` is not an answer"),
    }
}

/// The cells after the exchange, as they are for an answer that comes to a peer with which nothing happened yet, or one
/// failure.
fn observe(exchange: Exchange, answer: &Answer<'_>, failed_before: bool) -> [String; 5] {
    let (peer, now) = (peer(), Instant::now());
    if failed_before {
        drop(peer.log.record(exchange, &Answer::Failed("before".to_owned())));
    }
    let before = Counted::ALL.map(|(counted, _)| peer.log.count(exchange, counted));
    let gate_before = peer.gate(exchange).accepted();
    let logs = Logs::new();
    let contact = {
        let _guard = logs.start();
        peer.record(exchange, answer).0
    };
    let lines = logs.lines();
    let log = match lines.as_slice() {
        [] => "–",
        [line] if line.contains("INFO") && line.contains("answers again") => "again",
        [line] if line.contains("does not answer as expected") && line.contains("WARN") => "problem",
        [line] if line.contains("still failing") => "problem",
        [line] if line.contains("ERROR") && line.contains("credentials") => "credentials",
        [line] if line.contains("INFO") && line.contains("limits the rate of") => "limit",
        lines => panic!("{lines:?}"),
    };
    let counted: Vec<_> = Counted::ALL
        .into_iter()
        .zip(before)
        .filter(|((counted, _), before)| peer.log.count(exchange, *counted) != *before)
        .map(|((_, name), _)| name)
        .collect();
    let contact = match contact {
        Some(Contact::Well) => "well",
        Some(Contact::Failed) => "failed",
        Some(Contact::Gone) => "gone",
        None => "–",
    };
    let gate = match (peer.gate(exchange).closed_until(now), peer.gate(exchange).accepted() - gate_before) {
        (Some(_), 0) => "silence",
        (None, 1) => "accepted",
        (None, 0) => "–",
        other => panic!("{other:?}"),
    };
    let conversation = match (peer.take_doubt(), peer.until_forgotten().now_or_never()) {
        (true, None) => "doubt",
        (false, Some(())) => "forgotten",
        (false, None) => "–",
        (true, Some(())) => panic!("both"),
    };
    [log, &counted.join(" and "), contact, gate, conversation].map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_the_effects_that_the_table_says() {
    let mut seen = HashSet::new();
    let rows = include_str!("answer.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    for row in rows.skip(1) {
        let row = row.replace('`', "");
        let cells: Vec<_> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let [answer, exchanges, expected @ ..] = cells.as_slice() else { panic!("{row}") };
        for name in exchanges.split(", ") {
            let exchange = Exchange::ALL.into_iter().find(|(_, known)| *known == name).expect(name).0;
            assert!(seen.insert((answer.to_string(), name.to_owned())), "{answer}, {name}: twice");
            for sample in samples(answer) {
                let answer = match &sample {
                    Ok(response) => Answer::of(response),
                    Err(error) => Answer::Nothing(error),
                };
                let mut observed = observe(exchange, &answer, false);
                if expected[0] == "again" {
                    assert_eq!(observed[0], "–", "{row}: nothing failed before");
                    observed = observe(exchange, &answer, true);
                }
                assert_eq!(observed.as_slice(), expected, "{name}, {sample:?}");
            }
        }
    }
    assert_eq!(seen.len(), 10 * Exchange::ALL.len(), "the table is complete");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_failed_otherwise_is_a_bad_answer() {
    for (exchange, name) in Exchange::ALL {
        assert_eq!(exchange.name(), name);
        let bad = observe(exchange, &Answer::Bad(&Response::new(500, "")), false);
        assert_eq!(observe(exchange, &Answer::Failed("text".to_owned()), false), bad);
        for body in ["", "null", PAGE] {
            assert_eq!(observe(exchange, &Answer::of_refusal(&Response::new(202, body)), false), bad);
        }
        for body in [r#"{"status":"error"}"#, r#"{"error":"no"}"#, r#"{"status":"ok","error":{"code":7}}"#] {
            assert_eq!(observe(exchange, &Answer::of_consent(&Response::new(200, body)), false), bad);
        }
        for body in ["", "{}", r#"{"status":"registered","error":null}"#, "[\"error\"]"] {
            assert!(matches!(Answer::of_consent(&Response::new(200, body)), Answer::Good), "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_logged_once_and_its_silence_is_told_as_long_as_it_lasts() {
    let logs = Logs::new();
    let _guard = logs.start();
    let peer = peer();
    let response = Response { retry_after: Some(Duration::from_secs(7)), ..Response::new(429, "") };
    for _ in 0..2 {
        drop(peer.record(Exchange::Event, &Answer::of(&response)));
    }
    assert_eq!(logs.count("limits the rate of events"), 1);
    let silences = || peer.log.silences().collect::<Vec<_>>();
    assert_eq!(silences(), [("event", Duration::from_secs(7))]);
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(silences(), []);
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_the_worker_begins_by_itself_is_told_too() {
    let peer = peer();
    let gate = peer.gate(Exchange::Poll).clone();
    let send = |status| {
        gate.on_sent(Instant::now(), true);
        drop(peer.record(Exchange::Poll, &Answer::of(&Response::new(status, ""))));
    };
    (0..60).for_each(|_| send(204));
    send(429);
    tokio::time::advance(Duration::from_secs(70)).await;
    assert_eq!(peer.log.silences().count(), 0);
    (0..58).for_each(|_| send(204));
    let silences: Vec<_> = peer.log.silences().collect();
    let [("poll", silence)] = silences.as_slice() else { panic!("{silences:?}") };
    assert!((61.0..=66.0).contains(&silence.as_secs_f64()), "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn notices_about_an_earlier_registration_are_dropped() {
    let peer = peer();
    peer.note_doubt();
    drop(peer.record(Exchange::Poll, &Answer::of(&Response::new(404, "{}"))));
    peer.set_registered(Generation::Newer);
    assert_eq!((peer.take_doubt(), peer.until_forgotten().now_or_never()), (false, None));
}

#[tokio::test(start_paused = true)]
async fn each_refusal_of_the_credentials_has_a_line_at_debug() {
    let peer = peer();
    for (level, errors, others) in [(tracing::Level::DEBUG, 1, 2), (tracing::Level::INFO, 0, 0)] {
        let logs = Logs::at(level);
        let _guard = logs.start();
        for _ in 0..3 {
            peer.record(Exchange::Poll, &Answer::of(&Response::new(401, "no")))
                .1
                .again_in(Duration::from_secs(5));
        }
        assert_eq!(logs.count("refuses this worker's credentials (401): no"), errors, "{logs:?}");
        assert_eq!(logs.count("still refused (401): no; tried again in 5.0 s"), others, "{logs:?}");
    }
}
