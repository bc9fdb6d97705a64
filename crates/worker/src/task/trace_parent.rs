//! The parent of a task's span, from the `traceparent` of the W3C's recommendation "Trace Context".

use std::collections::BTreeMap;

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    /// 32 hexadecimal digits.
    pub(crate) trace_id: &'a str,
    /// 16 hexadecimal digits.
    pub(crate) span_id: &'a str,
    pub(crate) flags: u8,
}

impl<'a> TraceParent<'a> {
    /// Finds the text of `traceparent` in a task's trace context. Its name is that of an HTTP header: case is ignored.
    pub(crate) fn text_in(context: &'a BTreeMap<String, String>) -> Option<&'a str> {
        let found = context.iter().find(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
        found.map(|(_, text)| text.as_str())
    }

    /// Parses `version-trace_id-span_id-flags`, in lower case. Later versions may have more fields at the end. `None` if
    /// the recommendation calls the text invalid: the task then belongs to no trace.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.split('-');
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let mut field =
            |length| fields.next().filter(|field| field.len() == length && field.bytes().all(is_digit));
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let has_more = fields.next().is_some();
        let is_known = version != "ff" && !(version == "00" && has_more);
        let is_set = |id: &str| id.bytes().any(|digit| digit != b'0');
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (is_known && is_set(trace_id) && is_set(span_id)).then_some(Self { trace_id, span_id, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_valid_parent_is_read() {
        for (text, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("cc-{TRACE}-{SPAN}-01"), 1),
            (format!("cc-{TRACE}-{SPAN}-ff-what-the-future-will-be-like"), 255),
        ] {
            let expected = Some(TraceParent { trace_id: TRACE, span_id: SPAN, flags });
            assert_eq!(TraceParent::parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_name_is_found_in_any_case() {
        for name in ["traceparent", "TraceParent"] {
            let context = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            assert_eq!(TraceParent::text_in(&context), Some("x"));
        }
        assert_eq!(TraceParent::text_in(&BTreeMap::new()), None);
    }

    #[test]
    fn an_invalid_parent_is_ignored() {
        for text in [
            String::new(),
            "00".to_owned(),
            "00-1-2-01".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}x-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "é".repeat(16)),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-é"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }
}
