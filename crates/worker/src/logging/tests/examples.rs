//! Records with values of every kind, for the recorded lines of each format.

use std::error::Error;
use std::fmt;
use std::io;

use tracing::field::Empty;

/// A text that would end the line, control a terminal or reverse the direction of text.
const HOSTILE: &str =
    "a\nb\r\t\u{1b}[2J\u{7}\u{8}\u{c}\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{2066}\0 é😀 \"quoted\" \\ /";

/// A secret that needs escapes.
pub(super) const SECRET: &str = "example-\"token\"-é/1";

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("outer\nerror")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// A value that logs while it is formatted.
struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::warn!("said while it is formatted");
        formatter.write_str("talkative")
    }
}

/// Emits all of them. `SECRET` should be registered.
pub(super) fn emit() {
    levels();
    values();
    texts();
    errors();
    spans();
    span_values();
}

fn levels() {
    tracing::error!("an error");
    tracing::warn!("a warning with {} {:?}", "a text", "quoted");
    tracing::info!(task = "echo", outcome = "success", seconds = 0.012_345, "task ended");
    tracing::debug!(target: "other::target", "of another module");
    tracing::trace!("details");
}

fn values() {
    tracing::info!(
        signed = -1_i64,
        small = i8::MIN,
        unsigned = u64::MAX,
        long = u128::MAX,
        long_signed = i128::MIN,
        yes = true,
        no = false,
        "numbers"
    );
    tracing::info!(
        whole = 1.0,
        fraction = 0.1,
        tiny = 1e-7,
        huge = 1e21,
        single = 0.5_f32,
        nan = f64::NAN,
        infinite = f64::INFINITY,
        negative = -0.0,
        "floats"
    );
    tracing::info!(
        text = "a \"b\" \\ c",
        empty = "",
        shown = %"a \"b\"",
        quoted = ?"a \"b\"",
        list = ?["x", "y"],
        pretty = ?Some((1, 'c')),
        bytes = &b"ab\xff"[..],
        unit = ?(),
        present = Some(1),
        absent = None::<u64>,
        empty_field = Empty,
        "texts"
    );
    tracing::info!(only = 1, fields = "x");
    tracing::info!(message = "as a field", after = 2);
    tracing::info!(before = 1, message = %"in the middle", after = 2);
    tracing::info!(r#type = 3, dotted.name = 4, "quoted name" = 5, level = "own", "names");
    tracing::info!(value = ?Talkative, "outside");
    tracing::info!("{:?}", Talkative);
    tracing::info!("");
}

fn texts() {
    for text in [HOSTILE, SECRET] {
        tracing::warn!(text, shown = %text, quoted = ?text, in_list = ?[text], "said: {text} {text:?}");
        tracing::warn!(message = text);
    }
}

fn errors() {
    let plain = io::Error::other(HOSTILE);
    let outer = Outer(io::Error::other(SECRET));
    tracing::error!(error = &plain as &(dyn Error + 'static), "an error");
    tracing::error!(error = &outer as &(dyn Error + 'static), after = 1, "with a source");
    tracing::error!(shown = %outer, debug = ?outer, "with a source");
}

fn spans() {
    let outer = tracing::info_span!("outer", number = 1, text = "a \"b\"");
    let entered = outer.enter();
    tracing::info!("in one span");
    let inner = tracing::error_span!(
        "task",
        task_id = %"0123456789abcdef",
        job_id = %"üüüüüüüüüü",
        orchestrator = %"http://127.0.0.1:8080",
        trace_id = Empty,
        parent_span_id = Empty
    );
    inner.in_scope(|| tracing::info!(task = "echo", "in two spans"));
    inner.record("attempt", 1);
    inner.in_scope(|| {
        let bare = tracing::info_span!("bare");
        let _bare = bare.enter();
        tracing::warn!("in three spans");
    });
    drop(entered);
    tracing::info!("in none again");
    inner.in_scope(|| tracing::info!("its parent is not entered"));
    tracing::debug_span!(parent: None, "root", of = "its own")
        .in_scope(|| outer.in_scope(|| tracing::info!("of the outer only")));
}

fn span_values() {
    let error = io::Error::other(HOSTILE);
    let span = tracing::info_span!(
        "values",
        zebra = 1,
        name = "its own name",
        float = 0.1,
        whole = 2.0,
        nan = f64::NAN,
        signed = -1,
        yes = true,
        long = u128::MAX,
        bytes = &b"ab"[..],
        text = HOSTILE,
        shown = %HOSTILE,
        quoted = ?HOSTILE,
        secret = SECRET,
        error = &error as &(dyn Error + 'static),
        later = Empty,
        r#type = 1,
        absent = None::<u64>
    );
    span.in_scope(|| tracing::info!("in a span with values"));
    span.record("later", "now");
    span.record("zebra", 2);
    span.record("text", SECRET);
    span.in_scope(|| tracing::info!(zebra = 3, "recorded"));
    let message = tracing::info_span!("with_message", message = HOSTILE, after = 1);
    message.in_scope(|| tracing::info!("in a span with a message"));
    let recorded = tracing::info_span!("recorded_first", trace_id = Empty);
    recorded.in_scope(|| tracing::info!("before"));
    recorded.record("trace_id", "0af7651916cd43dd");
    recorded.in_scope(|| tracing::info!("after"));
}
