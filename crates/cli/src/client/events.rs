//! Server-sent events.

use http_body_util::BodyExt;
use rxon::transport::http::AnswerBody;

use super::body::Body;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name.
    pub(crate) name: String,
    /// The id of the last event that had one.
    pub(crate) id: Option<String>,
    /// Its data.
    pub(crate) data: String,
}

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    body: AnswerBody<Body>,
    parser: Parser,
}

impl Events {
    pub(super) fn new(body: AnswerBody<Body>) -> Self {
        Self { body, parser: Parser::default() }
    }

    /// Waits for the next event. `None` at the end of the stream, whatever its reason.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next() {
                return Some(event);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(bytes) = frame.data_ref() {
                self.parser.feed(bytes);
            }
        }
    }
}

/// Finds events in bytes.
#[derive(Debug, Default)]
struct Parser {
    /// What has no end of a line yet.
    rest: Vec<u8>,
    event: Event,
    has_data: bool,
    /// Whether the last line ended with a carriage return, so that a line feed after it is none.
    after_return: bool,
    found: std::collections::VecDeque<Event>,
}

impl Parser {
    fn next(&mut self) -> Option<Event> {
        self.found.pop_front()
    }

    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.rest);
                    self.line(&String::from_utf8_lossy(&line));
                }
                other => {
                    self.after_return = false;
                    self.rest.push(*other);
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let id = self.event.id.clone();
            let event = std::mem::replace(&mut self.event, Event { id, ..Event::default() });
            if std::mem::take(&mut self.has_data) {
                self.found.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments and times have no meaning here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let stream = ": comment\nretry: 1000\n\nevent: task\nid: a-1\ndata: {\"x\":\ndata: 1}\n\nevent:log\r\ndata\r\n\r\nevent: none\n\n";
        for size in [1, 2, 3, 7, 1000] {
            let mut parser = Parser::default();
            for piece in stream.as_bytes().chunks(size) {
                parser.feed(piece);
            }
            let first = parser.next().expect("an event");
            assert_eq!((first.name.as_str(), first.data.as_str()), ("task", "{\"x\":\n1}"), "{size}");
            let second = parser.next().expect("an event");
            let expected = Event { name: "log".to_owned(), id: Some("a-1".to_owned()), data: String::new() };
            assert_eq!(second, expected, "{size}");
            assert_eq!(parser.next(), None, "{size}");
        }
    }
}
