//! The W3C trace context of a task.

use std::collections::BTreeMap;

/// What a valid `traceparent` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TraceParent<'a> {
    pub(super) trace_id: &'a str,
    pub(super) parent_id: &'a str,
}

impl<'a> TraceParent<'a> {
    /// What a task's context says, if that is valid: anything else is as good as none.
    pub(super) fn of(context: &'a BTreeMap<String, String>) -> Option<Self> {
        let named = context.iter().find(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
        Self::parse(named?.1)
    }

    /// `version-trace_id-parent_id-flags`, in lower case. Versions to come may have more fields behind.
    fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.split('-');
        let mut field = |length| fields.next().filter(|field| is_hexadecimal(field, length));
        let (version, trace_id, parent_id, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let more = fields.next().is_some();
        let is_known = version != "ff" && !(version == "00" && more);
        let is_set = |id: &str| id.bytes().any(|digit| digit != b'0');
        (is_known && is_set(trace_id) && is_set(parent_id)).then_some(Self { trace_id, parent_id })
    }
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn a_valid_parent_is_read() {
        let expected = Some(TraceParent { trace_id: TRACE, parent_id: PARENT });
        for text in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-01"),
            format!("cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like"),
        ] {
            assert_eq!(TraceParent::parse(&text), expected, "{text}");
        }
        let context = BTreeMap::from([("TraceParent".to_owned(), format!("00-{TRACE}-{PARENT}-01"))]);
        assert_eq!(TraceParent::of(&context), expected);
    }

    #[test]
    fn anything_else_is_as_good_as_none() {
        for text in [
            String::new(),
            "00-1-2-01".to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-é"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("00_{TRACE}_{PARENT}_01"),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
        assert_eq!(TraceParent::of(&BTreeMap::new()), None);
    }
}
