//! The output of a program, line by line.

use std::borrow::Cow;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The longest line, in bytes; a longer one is passed on in pieces.
const MAX_LINE: usize = 64 * 1024;

/// The stream that a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Calls a function with every line, without its end, until the stream ends.
pub(in crate::commands) async fn read(stream: impl AsyncRead + Unpin, mut each: impl AsyncFnMut(&[u8])) {
    let mut stream = BufReader::with_capacity(MAX_LINE, stream);
    let mut line = Vec::new();
    while let Ok(buffer) = stream.fill_buf().await {
        if buffer.is_empty() {
            break;
        }
        let room = &buffer[..buffer.len().min(MAX_LINE - line.len())];
        let end = room.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(room.len());
        line.extend_from_slice(&room[..taken]);
        let used = taken + usize::from(end.is_some());
        stream.consume(used);
        if end.is_some() || line.len() == MAX_LINE {
            each(line.strip_suffix(b"\r").unwrap_or(&line)).await;
            line.clear();
        }
    }
    if !line.is_empty() {
        each(&line).await;
    }
}

/// A line of a log as JSON.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    level: Option<String>,
    message: String,
    /// Where loggers put the trace of an error.
    #[serde(default, alias = "exc_info", alias = "traceback", alias = "backtrace")]
    exception: Option<serde_json::Value>,
}

/// Returns a line as it is shown in a terminal: a line of JSON with a `message` as `LEVEL message`, with the trace of an
/// error below it; any other line as it is.
pub(in crate::commands) fn shown(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.starts_with(b"{") {
        return Cow::Borrowed(line);
    }
    let Ok(Record { level, message, exception }) = serde_json::from_slice(line) else {
        return Cow::Borrowed(line);
    };
    let mut text = match level {
        Some(level) => format!("{level} {message}"),
        None => message,
    };
    if let Some(trace) = exception.as_ref().and_then(serde_json::Value::as_str) {
        text = format!("{text}\n{}", trace.trim_end());
    }
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        read(bytes, async |line: &[u8]| lines.push(line.to_vec())).await;
        lines
    }

    #[tokio::test]
    async fn lines_are_separated_and_the_last_one_needs_no_end() {
        assert_eq!(lines(b"one\ntwo\r\n\nlast").await, [&b"one"[..], b"two", b"", b"last"]);
        assert_eq!(lines(b"").await, [] as [&[u8]; 0]);
        assert_eq!(lines(b"\xff\xfe\n").await, [b"\xff\xfe"]);
    }

    #[tokio::test]
    async fn a_long_line_comes_in_pieces() {
        let long = vec![b'x'; MAX_LINE + 5];
        let lengths: Vec<usize> = lines(&long).await.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE, 5]);
    }

    #[test]
    fn json_with_a_message_is_shown_as_text() {
        for (line, text) in [
            (r#"{"timestamp":"x","level":"INFO","message":"registered","task_id":"1"}"#, "INFO registered"),
            (r#"{"message":"hello"}"#, "hello"),
            (r#"{"level":"ERROR","message":"no","exc_info":"Trace\n  here\n"}"#, "ERROR no\nTrace\n  here"),
            (r#"{"text":"hello"}"#, r#"{"text":"hello"}"#),
            (r#"{"message":5}"#, r#"{"message":5}"#),
            ("{ not JSON", "{ not JSON"),
            ("plain", "plain"),
        ] {
            assert_eq!(shown(line.as_bytes()).as_ref(), text.as_bytes());
        }
    }
}
