//! What a schema says of a text: `pattern` and `format`. The page checks the same formats with the same expressions.

use regex_lite::Regex;

/// The formats that are checked: each with an expression and what was expected. Others say nothing.
const FORMATS: [(&str, &str, &str); 7] = [
    ("email", r"^[^\s@]+@[^\s@]+$", "an address such as name@example.org"),
    ("uri", r"(?i)^[a-z][a-z0-9+.-]*:\S+$", "an address such as https://example.org"),
    ("uuid", r"(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "a UUID"),
    ("date", r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", "a date such as 2026-01-31"),
    (
        "time",
        r"(?i)^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?$",
        "a time such as 12:30:00",
    ),
    (
        "date-time",
        r"(?i)^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        "a time such as 2026-01-31T12:30:00Z",
    ),
    ("ipv4", r"^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$", "an IPv4 address"),
];

/// Returns what a format expects, if the text is something else.
pub(super) fn format_problem(format: &str, text: &str) -> Option<&'static str> {
    let (_, expression, expected) = FORMATS.into_iter().find(|(name, ..)| *name == format)?;
    if matches(expression, text) { None } else { Some(expected) }
}

/// Whether a text fits a pattern. One that only other languages know, such as a look ahead, is left to the worker.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).map_or(true, |pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        for (format, text, fits) in [
            ("email", "a@b", true),
            ("email", "a b@c", false),
            ("uri", "s3://bucket/key", true),
            ("uri", "bucket/key", false),
            ("uuid", "123E4567-e89b-12d3-a456-426614174000", true),
            ("uuid", "123", false),
            ("date", "2026-11-30", true),
            ("date", "2026-13-01", false),
            ("time", "12:30", true),
            ("time", "24:00:00", false),
            ("date-time", "2026-11-30T12:30:00.5+01:00", true),
            ("date-time", "2026-11-30", false),
            ("ipv4", "127.0.0.1", true),
            ("ipv4", "256.0.0.1", false),
            ("color", "whatever", true),
        ] {
            assert_eq!(format_problem(format, text).is_none(), fits, "{format} {text}");
        }
        for (name, expression, _) in FORMATS {
            assert!(Regex::new(expression).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_pattern_is_found_anywhere_and_an_unknown_one_says_nothing() {
        assert!(matches("b+", "abc") && !matches("^b", "abc"));
        assert!(matches("(?=x)", "abc"));
    }
}
