//! The text of server-sent events.

use std::fmt::Write as _;

use bytes::Bytes;

/// The first text of an answer: a browser that has lost its connection tries again after a second.
pub(super) const RETRY: &str = "retry: 1000\n\n";

/// A text that means nothing: it shows both sides that the connection is alive.
pub(super) const COMMENT: &str = ": still here\n\n";

/// Returns the text of an event.
pub(super) fn event(id: &str, name: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + id.len() + name.len() + 32);
    // Writing to a `String` cannot fail.
    let _ = write!(text, "id: {id}\nevent: {name}\n");
    if data.contains('\n') || data.contains('\r') {
        // JSON may contain line ends between its values, and there only: each line is one of the event's lines.
        for line in data.split(['\n', '\r']) {
            let _ = writeln!(text, "data: {line}");
        }
    } else {
        let _ = writeln!(text, "data: {data}");
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_id_its_name_and_the_lines_of_its_data() {
        assert_eq!(event("a-1", "task", "{}"), "id: a-1\nevent: task\ndata: {}\n\n");
        assert_eq!(event("a-1", "task", "{\r1\n}"), "id: a-1\nevent: task\ndata: {\ndata: 1\ndata: }\n\n");
    }
}
