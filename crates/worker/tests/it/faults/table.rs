//! What can go wrong with an answer.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use testkit::Answer;

/// Beyond what is read of a poll's answer (64 MiB), and of any other (4 MiB).
const TOO_MANY_MIB: usize = 66;

/// One way of answering badly.
#[derive(Clone)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) answer: Answer,
    /// A result answered like this is acknowledged: it was 2xx, and came whole, as JSON or empty.
    pub(super) acknowledges: bool,
    /// It asks for more silence than a test has time for.
    pub(super) silences: bool,
    /// It comes before the request was read.
    pub(super) is_early: bool,
}

impl Fault {
    /// Whoever is answered like this waits for long.
    pub(super) fn hangs(&self) -> bool {
        matches!(self.answer, Answer::Hang | Answer::Trickle { .. } | Answer::Dribble { .. })
    }
}

fn fault(name: &'static str, answer: Answer) -> Fault {
    let is_early = matches!(answer, Answer::CloseBeforeReading | Answer::ResetWhileReading { .. });
    Fault { name, answer, acknowledges: false, silences: false, is_early }
}

fn acknowledging(name: &'static str, answer: Answer) -> Fault {
    Fault { acknowledges: true, ..fault(name, answer) }
}

fn too_many(name: &'static str, retry_after: Option<&str>) -> Fault {
    let answer = Answer::status(429);
    let answer = retry_after.map_or(answer.clone(), |value| answer.header("retry-after", value));
    let silences = !matches!(retry_after, Some("0" | "1" | "Sun, 06 Nov 1994 08:49:37 GMT"));
    Fault { silences, ..fault(name, answer) }
}

fn raw(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Answer::Raw { status, headers: headers.collect(), body: body.into() }
}

fn bytes(text: &str) -> Answer {
    Answer::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

/// The connection ends, or nothing comes.
pub(super) fn of_the_connection() -> Vec<Fault> {
    let slowly = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}");
    let every = Duration::from_millis(500);
    vec![
        fault("reset", Answer::Reset),
        fault("reset before the request was read", Answer::ResetWhileReading { after: 10 }),
        fault("close", Answer::CloseAfterReading),
        fault("close before the request was read", Answer::CloseBeforeReading),
        fault("silence", Answer::Hang),
        fault("a slow head", Answer::Trickle { bytes: slowly.clone(), chunk: 1, every }),
        fault("a slow body", Answer::Dribble { status: 200, body: slowly, chunk: 1, every }),
        fault("a body cut off", Answer::Truncated { status: 200, declared_length: 100, body: "{".into() }),
        fault("chunks cut off", bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\"")),
        fault("chunks without sense", bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")),
        fault("half a head", bytes("HTTP/1.1 200 OK\r\ncontent-le")),
        fault("not HTTP", bytes("SSH-2.0-OpenSSH\r\n")),
        fault("HTTP 2", bytes("HTTP/2.0 200 OK\r\n\r\n{}")),
        fault("two lengths", bytes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}")),
        fault("bad gzip", raw(200, &[("content-encoding", "gzip")], "no gzip")),
        fault("unknown encoding", raw(200, &[("content-encoding", "zstd")], "?")),
        fault(
            "65 MiB announced",
            Answer::Truncated { status: 200, declared_length: 65 << 20, body: "{".into() },
        ),
    ]
}

/// A whole answer that refuses.
pub(super) fn refusals(elsewhere: &str) -> Vec<Fault> {
    let html = "<html><h1>502 Bad Gateway</h1></html>";
    let moved = |status| Answer::Json(status, json!({})).header("location", elsewhere);
    vec![
        fault("500 with an error", Answer::status(500)),
        fault("502 with a page", raw(502, &[("content-type", "text/html")], html)),
        fault("404 with a page", raw(404, &[("content-type", "text/html")], html)),
        fault("400 with a page", raw(400, &[], html)),
        fault("503 with nothing", raw(503, &[], "")),
        fault("503 with a time", Answer::status(503).header("retry-after", "0")),
        fault("301", moved(301)),
        fault("302", moved(302)),
        fault("307", moved(307)),
        fault("308", moved(308)),
        fault("408", Answer::status(408)),
        fault("418", Answer::status(418)),
        too_many("429", None),
        too_many("429 for no time", Some("0")),
        too_many("429 for a second", Some("1")),
        too_many("429 until the past", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
        too_many("429 until some day", Some("Fri, 31 Dec 2066 23:59:59 GMT")),
        too_many("429 for ages", Some("999999999999999999999")),
        too_many("429 with nonsense", Some("soon")),
        too_many("429 with less than nothing", Some("-1")),
    ]
}

/// 200, with a body that is not what it should be.
pub(super) fn bodies() -> Vec<Fault> {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}0{}", "{\"status\":".repeat(10_000), "}".repeat(10_000));
    vec![
        fault("a page", raw(200, &[("content-type", "text/html")], "<html>hello</html>")),
        fault("text", raw(200, &[("content-type", "text/plain")], "hello")),
        acknowledging("nothing", raw(200, &[], "")),
        acknowledging("null", Answer::body("null")),
        acknowledging("a list", Answer::body("[1]")),
        fault("half an object", Answer::body("{\"job_id\":")),
        fault("not UTF-8", Answer::body(Bytes::from_static(b"{\"status\":\"\xff\xfe\"}"))),
        acknowledging("deep lists", Answer::body(deep)),
        acknowledging("deep objects", Answer::body(deep_object)),
        acknowledging("201", Answer::Json(201, json!([]))),
        acknowledging("204 with a body", bytes("HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n{}")),
    ]
}

/// More than is read. Costly: few at a time.
pub(super) fn floods() -> Vec<Fault> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![b' '; 1 << 20]).expect("a vector takes all");
    let bomb = encoder.finish().expect("a vector takes all").repeat(TOO_MANY_MIB);
    vec![
        fault("a body without end", Answer::Endless { status: 200 }),
        fault("a bomb", raw(200, &[("content-encoding", "gzip")], bomb)),
    ]
}

/// Odd, but whole: taken for what they say. `body` is what the endpoint should be answered.
pub(super) fn oddities(body: &str) -> Vec<(&'static str, Answer)> {
    let length = body.len();
    let (one, two) = body.split_at(length / 2);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes()).expect("a vector takes all");
    let packed = encoder.finish().expect("a vector takes all");
    vec![
        ("a wrong type", raw(200, &[("content-type", "text/html; charset=utf-16")], body.to_owned())),
        ("no type", raw(200, &[], body.to_owned())),
        ("headers twice", raw(200, &[("x-a", "1"), ("X-A", "2"), ("content-type", "a")], body.to_owned())),
        (
            "the length twice",
            bytes(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ncontent-length: {length}\r\n\r\n{body}"
            )),
        ),
        ("gzip", raw(200, &[("content-encoding", "gzip")], packed)),
        ("HTTP/1.0", bytes(&format!("HTTP/1.0 200 OK\r\n\r\n{body}"))),
        ("until the end", bytes(&format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"))),
        (
            "hints first",
            bytes(&format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            )),
        ),
        (
            "chunks with a trailer",
            bytes(&format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-a\r\n\r\n{:x}\r\n{one}\r\n{:x};a=b\r\n\
             {two}\r\n0\r\nx-a: 1\r\n\r\n",
                one.len(),
                two.len()
            )),
        ),
        ("white space", Answer::body(format!(" \r\n\t{body}\n"))),
        (
            "slowly",
            Answer::Trickle {
                bytes: Bytes::from(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")),
                chunk: 20,
                every: Duration::from_millis(10),
            },
        ),
    ]
}
