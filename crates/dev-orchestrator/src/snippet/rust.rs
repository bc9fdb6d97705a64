//! A task as a test in Rust.

use std::fmt::Write as _;

use super::{Snippet, is_plain};

pub(super) fn write(snippet: &Snippet<'_>) -> String {
    let Snippet { job_id, name, params, status, data, error, .. } = snippet;
    let (function, params) = (snippet.function(), literal(params));
    let value = if data.is_some() { "use serde_json::Value;\n" } else { "" };
    let mut text = format!(
        "//! Runs again what was {job_id}, without a server. It needs the feature `testing` of `avtomatika-worker`.\n\
         \n\
         use avtomatika_worker::testing::TestWorker;\n\
         {value}use serde_json::value::RawValue;\n\
         \n\
         #[tokio::test]\n\
         async fn runs_{function}() -> Result<(), serde_json::Error> {{\n"
    );
    if let Some(error) = error {
        let _ = writeln!(text, "    // It failed with {error:?}.");
    }
    let _ = writeln!(text, "    // `my_worker::builder()` makes the builder of your worker.");
    let _ = writeln!(text, "    let worker = TestWorker::new(my_worker::builder());");
    let _ = writeln!(text, "    let params: Box<RawValue> = serde_json::from_str({params})?;");
    let _ = writeln!(text, "    let run = worker.task(\"{name}\").params(params).run().await;");
    let _ = writeln!(text, "    assert_eq!(run.status(), {status:?}, \"{{:?}}\", run.error_message());");
    if let Some(data) = data {
        let _ = writeln!(text, "    let expected: Value = serde_json::from_str({})?;", literal(data));
        let _ = writeln!(text, "    assert_eq!(run.data(), &expected);");
    }
    text.push_str("    Ok(())\n}\n");
    text
}

/// Writes a text as a literal of Rust: a raw one where that can be read.
fn literal(text: &str) -> String {
    if !text.chars().all(is_plain) {
        return format!("{text:?}");
    }
    let mut hashes = String::from("#");
    while text.contains(&format!("\"{hashes}")) {
        hashes.push('#');
    }
    format!("r{hashes}\"{text}\"{hashes}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, snippet};
    use super::*;

    #[test]
    fn a_literal_holds_any_text() {
        assert_eq!(literal(r#"{"a": "\n"}"#), r##"r#"{"a": "\n"}"#"##);
        assert_eq!(literal(r##"a "# b"##), r###"r##"a "# b"##"###);
        assert_eq!(literal("a\r\n\u{202e}"), r#""a\r\n\u{202e}""#);
    }

    #[test]
    fn a_test_is_written_line_by_line_whatever_the_parameters() {
        for params in HOSTILE {
            let snippet = Snippet { error: Some("E: \"\n\u{202e}".to_owned()), ..snippet(params) };
            let text = write(&snippet);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[6], "async fn runs_resize_image() -> Result<(), serde_json::Error> {");
            assert_eq!(lines[7], r#"    // It failed with "E: \"\n\u{202e}"."#);
            assert!(lines[10].starts_with("    let params: Box<RawValue> = serde_json::from_str("), "{text}");
            assert_eq!(lines[13..], ["    Ok(())", "}"], "{text}");
            assert!(!text.contains("use serde_json::Value;"), "nothing needs it");
        }
        let with_data = write(&Snippet { data: Some("{}"), ..snippet("{}") });
        assert!(with_data.contains("use serde_json::Value;") && with_data.contains("run.data(), &expected"));
    }
}
