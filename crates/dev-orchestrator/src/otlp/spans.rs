//! To which task a span belongs, and the records that wait to know that.

use std::collections::{HashMap, VecDeque};

use super::records::{LinkedSpan, SpanId};
use crate::logs::NewLine;

/// The number of spans that are kept; the oldest are dropped first.
const MAX_SPANS: usize = 20_000;

/// The number of records that wait for their span; the oldest are dropped first.
const MAX_WAITING: usize = 500;

/// A span inside more others than this belongs to no task.
const MAX_DEPTH: usize = 64;

/// The longest id of a task that is kept, in bytes.
const MAX_ID: usize = 256;

/// The last spans, and the last records whose span is not among them.
#[derive(Debug, Default)]
pub(super) struct Spans {
    links: HashMap<SpanId, Link>,
    /// The spans in the order of their arrival.
    order: VecDeque<SpanId>,
    waiting: VecDeque<(SpanId, NewLine)>,
}

#[derive(Debug)]
struct Link {
    task_id: Option<String>,
    parent: Option<SpanId>,
}

impl Spans {
    /// Returns the task of a span, or of the nearest span around it that has one.
    pub(super) fn task_of(&self, span: &SpanId) -> Option<String> {
        let mut at = *span;
        for _ in 0..MAX_DEPTH {
            let link = self.links.get(&at)?;
            if let Some(task_id) = &link.task_id {
                return Some(task_id.clone());
            }
            at = link.parent?;
        }
        None
    }

    /// Keeps a record until its span is known.
    pub(super) fn keep(&mut self, span: SpanId, line: NewLine) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((span, line));
    }

    /// Adds spans. Returns the records that belong to a task now, with that task.
    pub(super) fn add(&mut self, spans: Vec<LinkedSpan>) -> Vec<NewLine> {
        for LinkedSpan { id, task_id, parent } in spans {
            let task_id = task_id.filter(|id| id.len() <= MAX_ID);
            if self.links.insert(id, Link { task_id, parent }).is_none() {
                self.order.push_back(id);
            }
            if self.order.len() > MAX_SPANS
                && let Some(oldest) = self.order.pop_front()
            {
                self.links.remove(&oldest);
            }
        }
        let (mut found, mut waiting) = (Vec::new(), VecDeque::new());
        for (span, mut line) in std::mem::take(&mut self.waiting) {
            line.task_id = self.task_of(&span);
            if line.task_id.is_some() {
                found.push(line);
            } else {
                waiting.push_back((span, line));
            }
        }
        self.waiting = waiting;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::LogSource;

    fn id(number: u64) -> SpanId {
        SpanId { trace: [1; 16], span: number.to_be_bytes() }
    }

    fn span(number: u64, parent: Option<u64>, task: Option<&str>) -> LinkedSpan {
        LinkedSpan { id: id(number), task_id: task.map(str::to_owned), parent: parent.map(id) }
    }

    fn line(text: &str) -> NewLine {
        NewLine::read("w", LogSource::Otlp, text.as_bytes())
    }

    #[test]
    fn a_span_has_the_task_of_the_nearest_span_around_it() {
        let mut spans = Spans::default();
        spans.add(vec![
            span(1, None, None),
            span(2, Some(1), Some("t2")),
            span(3, Some(2), None),
            span(4, Some(3), Some("t4")),
            span(5, Some(99), None),
            // In a circle.
            span(6, Some(7), None),
            span(7, Some(6), None),
        ]);
        let tasks = [1, 2, 3, 4, 5, 6, 8].map(|number| spans.task_of(&id(number)));
        let expected = [None, Some("t2"), Some("t2"), Some("t4"), None, None, None];
        assert_eq!(tasks.each_ref().map(Option::as_deref), expected);
    }

    #[test]
    fn a_record_waits_until_the_spans_around_it_are_known() {
        let mut spans = Spans::default();
        spans.keep(id(3), line("a"));
        spans.keep(id(9), line("b"));
        assert!(spans.add(vec![span(3, Some(2), None)]).is_empty());
        let found = spans.add(vec![span(2, None, Some("t"))]);
        assert!(matches!(&found[..], [line] if line.text == "a" && line.task_id.as_deref() == Some("t")));
        assert!(spans.add(Vec::new()).is_empty(), "it is found once");
        assert_eq!(spans.waiting.len(), 1);
    }

    #[test]
    fn the_memory_is_limited() {
        let mut spans = Spans::default();
        for _ in 0..=MAX_WAITING {
            spans.keep(SpanId { trace: [2; 16], span: [1; 8] }, line("x"));
        }
        let last = MAX_SPANS as u64 + 5;
        spans.add((1..=last).map(|number| span(number, None, Some("t"))).collect());
        assert_eq!(
            (spans.links.len(), spans.order.len(), spans.waiting.len()),
            (MAX_SPANS, MAX_SPANS, MAX_WAITING)
        );
        assert_eq!(spans.task_of(&id(5)), None);
        assert!(spans.task_of(&id(6)).is_some());
    }
}
