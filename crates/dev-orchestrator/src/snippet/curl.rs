//! A task as a command for a POSIX shell.

use std::fmt::Write as _;

use super::Snippet;

/// The longest body that is an argument; an argument of 128 KiB is too long for Linux.
const MAX_ARGUMENT: usize = 64 * 1024;

pub(super) fn write(snippet: &Snippet<'_>, url: &str) -> String {
    let body = body(snippet);
    let target = quoted(&format!("{url}/api/tasks"));
    let command = format!("curl -sS {target} -H 'Content-Type: application/json' --data-binary");
    if body.len() <= MAX_ARGUMENT {
        return format!("{command} {}\n", quoted(&body));
    }
    let mut end = "END_OF_TASK".to_owned();
    while body.lines().any(|line| line == end) {
        end.push('_');
    }
    format!("{command} @- <<'{end}'\n{body}\n{end}\n")
}

fn body(snippet: &Snippet<'_>) -> String {
    let Snippet { name, params, priority, timeout, .. } = snippet;
    let mut body = format!(r#"{{"type":"{name}","params":{params}"#);
    if *priority != 0.0 {
        let _ = write!(body, r#","priority":{priority:?}"#);
    }
    let _ = write!(body, r#","timeout":{timeout:?}}}"#);
    body
}

/// Quotes a text, so that the shell passes it on unchanged.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::tests::{HOSTILE, snippet};
    use super::*;

    /// Runs a command with a `curl` that prints its last argument, or what it reads if that is `@-`.
    fn sent(command: &str) -> String {
        let curl = r#"curl() { for last; do :; done; if [ "$last" = @- ]; then cat; else printf '%s' "$last"; fi; }"#;
        let script = format!("{curl}\n{command}");
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("script");
        std::fs::write(&file, script).expect("written");
        let output = Command::new("sh").arg(&file).output().expect("a shell");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[test]
    fn the_shell_passes_on_the_same_bytes() {
        for params in HOSTILE {
            let expected = format!(r#"{{"type":"resize-image","params":{params},"timeout":60.0}}"#);
            assert_eq!(sent(&write(&snippet(params), "http://127.0.0.1:8080")), expected);
            let long = format!("{params}{}", " ".repeat(MAX_ARGUMENT));
            let expected = format!("{{\"type\":\"resize-image\",\"params\":{long},\"timeout\":60.0}}\n");
            assert_eq!(sent(&write(&snippet(&long), "http://127.0.0.1:8080")), expected);
        }
    }

    #[test]
    fn priority_and_timeout_are_kept() {
        let snippet = Snippet { priority: -1.5, timeout: 0.25, ..snippet("{}") };
        let command = write(&snippet, "http://localhost:1");
        let expected = r#"{"type":"resize-image","params":{},"priority":-1.5,"timeout":0.25}"#;
        assert_eq!(sent(&command), expected);
        assert!(command.starts_with("curl -sS 'http://localhost:1/api/tasks' -H "), "{command}");
    }
}
