//! The examples run to their end, and print the expected lines.

use std::path::PathBuf;
use std::process::Command;

fn run(name: &str) -> String {
    let myself = std::env::current_exe().expect("the test's own path");
    // target/debug/deps/it-… beside target/debug/examples
    let examples: PathBuf =
        myself.parent().and_then(|deps| deps.parent()).expect("two folders up").join("examples");
    let program = examples.join(name);
    let output = Command::new(&program).env_clear().output();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo build -p avtomatika-examples --examples` builds it", program.display())
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
fn prints(name: &str, lines: &[&str]) {
    let text = run(name);
    let mut rest = text.as_str();
    for line in lines {
        let at = rest
            .find(line)
            .unwrap_or_else(|| panic!("the output lacks `{line}`, or has it in another place: {text}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn typed_params() {
    prints(
        "typed_params",
        &[
            r#"{"scale":0.5,"width":640} -> {"width":320.0}"#,
            r#"{"width":640} -> {"width":640.0}"#,
            r#"{"width":"wide"} -> INVALID_INPUT_ERROR: "#,
            "-> INVALID_INPUT_ERROR: `scale` is -1, expected more than 0",
            "-> INVALID_INPUT_ERROR: ",
            "hight",
        ],
    );
}

#[test]
fn limits() {
    prints("limits", &["16 tasks ended", "on the graphics card: at most 1", "in total: at most 4"]);
}

#[test]
fn middleware_and_injection() {
    prints(
        "middleware_and_injection",
        &[
            "connected: opened the connection for ask",
            "handler: uses the connection for ask",
            "measured: `ask` ended quickly with `success`",
            r#"result: {"answer":42}"#,
        ],
    );
}

#[test]
fn several_orchestrators() {
    prints(
        "several_orchestrators",
        &[
            r#"the first orchestrator: {"greeted":{"name":"Ada"}}"#,
            "workers of the second orchestrator meanwhile: 0",
            "the first orchestrator has ended",
            r#"the second orchestrator: {"greeted":{"name":"Grace"}}"#,
        ],
    );
}

#[test]
fn mtls() {
    prints(
        "mtls",
        &[r#"without a certificate: "no worker took the task""#, r#"with a certificate: {"text":"Hello!"}"#],
    );
}

#[test]
fn cancellation_and_progress() {
    prints(
        "cancellation_and_progress",
        &[
            "walk: cancelled after `step`",
            "walk: cleaned up",
            "walk: ended as cancelled",
            "compute: cancelled after `round`",
            "compute: cleaned up",
            "compute: ended as cancelled",
        ],
    );
}

#[test]
fn hot_cache() {
    prints(
        "hot_cache",
        &[
            "start-up: nothing is loaded yet",
            r#"first time: {"loaded_before":false,"model_bytes":1024}"#,
            r#"second time: {"loaded_before":true,"model_bytes":1024}"#,
            "shutdown: the model is unloaded",
        ],
    );
}
