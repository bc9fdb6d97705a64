//! A task as a test in Python.

use std::fmt::Write as _;

use super::{Snippet, is_plain};

pub(super) fn write(snippet: &Snippet<'_>) -> String {
    let Snippet { job_id, name, params, status, data, error, .. } = snippet;
    let (function, params, status) = (snippet.function(), literal(params), literal(status));
    let mut text = format!(
        "\"\"\"Runs again what was {job_id}, without a server.\"\"\"\n\
         \n\
         import json\n\
         \n\
         from avtomatika_worker.testing import TestWorker\n\
         \n\
         from my_worker import worker  # the module of your worker\n\
         \n\
         \n\
         def test_{function}():\n"
    );
    if let Some(error) = error {
        let _ = writeln!(text, "    # It failed with {}.", literal(error));
    }
    let _ = writeln!(text, "    params = json.loads({params})");
    let _ = writeln!(text, "    run = TestWorker(worker).run(\"{name}\", params)");
    let _ = writeln!(text, "    assert run.status == {status}, run");
    if let Some(data) = data {
        let _ = writeln!(text, "    assert run.data == json.loads({})", literal(data));
    }
    text
}

/// Writes a text as a literal of Python.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            plain if is_plain(plain) => literal.push(plain),
            other => {
                let _ = write!(literal, "\\U{:08x}", u32::from(other));
            }
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, snippet};
    use super::*;

    #[test]
    fn a_literal_holds_any_text() {
        assert_eq!(literal("a\"b\\c\n\r\té"), r#""a\"b\\c\n\r\té""#);
        assert_eq!(literal("\u{202e}😀\0"), r#""\U0000202e\U0001f600\U00000000""#);
    }

    #[test]
    fn a_test_is_written_line_by_line_whatever_the_parameters() {
        for params in HOSTILE {
            let snippet = Snippet {
                data: Some("{\"a\":\n1}"),
                error: Some("E: \"\n\u{202e}".to_owned()),
                ..snippet(params)
            };
            let text = write(&snippet);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[9], "def test_resize_image():");
            assert_eq!(lines[10], r#"    # It failed with "E: \"\n\U0000202e"."#);
            assert_eq!(lines[11], format!("    params = json.loads({})", literal(params)));
            assert_eq!(lines[12], r#"    run = TestWorker(worker).run("resize-image", params)"#);
            assert_eq!(lines[13], r#"    assert run.status == "success", run"#);
            assert_eq!(lines[14], r#"    assert run.data == json.loads("{\"a\":\n1}")"#);
            assert_eq!(lines.len(), 15);
        }
    }
}
