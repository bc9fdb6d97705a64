//! `avtomatika dev --blueprint` and `--as`, and `submit --job`.

use std::fs;

use serde_json::json;

use crate::program::{json_lines, run};
use crate::server::Dev;

const TWO_STEP: &str = r#"
name = "two_step"
start = "first"
[states.first]
task = "resize"
params = { image = "$.image", width = 10 }
on = { success = "second", failure = "failed", needs_review = "failed" }
[states.second]
task = "notify"
on = { success = "finished" }
"#;

const SHORT: &str =
    r#"{"name": "short", "start": "only", "states": {"only": {"task": "x", "on": {"success": "finished"}}}}"#;

#[tokio::test]
async fn jobs_of_blueprints_in_both_notations_are_submitted_shown_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let (toml, json) = (folder.path().join("two.toml"), folder.path().join("short.JSON"));
    fs::write(&toml, TWO_STEP).unwrap();
    fs::write(&json, SHORT).unwrap();
    let files = ["--blueprint", toml.to_str().unwrap(), "--blueprint", json.to_str().unwrap()];
    let dev = Dev::start(&files, &[]).await;
    let (stdout, stderr, code) = dev.run(&["submit", "--job", "two_step", "image=a.png"]);
    assert_eq!(code, Some(0), "{stderr}");
    let id = stdout.trim_end();
    let (stdout, _, _) = dev.run(&["task", id, "--json"]);
    let task = &json_lines("task", &stdout)[0];
    assert_eq!((&task["type"], &task["params"]), (&json!("resize"), &json!({"image": "a.png", "width": 10})));
    assert_eq!((&task["job"]["name"], &task["job"]["state"]), (&json!("two_step"), &json!("first")));
    let (stdout, _, _) = dev.run(&["task", id]);
    assert!(stdout.contains("job        two_step: first (queued)"), "{stdout}");
    assert_eq!(dev.run(&["cancel", id]).2, Some(0));
    let (stdout, _, _) = dev.run(&["task", id]);
    assert!(stdout.contains("job        two_step: first (cancelled)"), "{stdout}");

    let (stdout, stderr, code) = dev.run(&["submit", "--job", "short", "--count", "2", "--json"]);
    assert_eq!((json_lines("submit", &stdout).len(), code), (2, Some(0)), "{stderr}");
    let (stdout, stderr, code) = dev.run(&["submit", "--job", "long"]);
    assert_eq!((stdout.as_str(), code), ("", Some(1)));
    assert!(stderr.contains("`long`") && stderr.contains("`short` or `two_step`"), "{stderr}");
    let (_, stderr, code) = dev.run(&["submit", "--job", "two_step"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("`states.first.params`") && stderr.contains("`$.image`"), "{stderr}");
}

#[test]
fn a_wrong_file_is_refused_with_its_name_the_state_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |name: &str, text: &str, words: &[&str]| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let (stdout, stderr, code) = run(&["dev", "--port", "0", "--s3-port", "0", "--blueprint", file]);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{name}: {stderr}");
        assert!(stderr.contains(&format!("`{file}`")), "{name}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{name}: {stderr}");
    };
    let state = |from: &str, to: &str| TWO_STEP.replacen(from, to, 1);
    wrong(
        "state.toml",
        &state("\"second\"", "\"third\""),
        &["`states.first.on.success`", "`third`", "`second`"],
    );
    wrong("task.toml", &state("task = \"notify\"", ""), &["`states.second`", "`task`"]);
    wrong(
        "key.toml",
        &state("task = \"notify\"", "task = \"notify\"\nretries = 5"),
        &["states.second", "`retries`"],
    );
    wrong("type.json", &SHORT.replace("\"x\"", "5"), &["`states.only.task`", "`5`"]);
    wrong("start.json", &SHORT.replace("\"only\", \"states\"", "\"one\", \"states\""), &["`start`", "`one`"]);
    wrong("no.toml", "name =", &["line 1 is not TOML"]);
    wrong("no.json", "name = 5", &["line 1"]);
    let (one, other) = (folder.path().join("one.json"), folder.path().join("other.json"));
    fs::write(&one, SHORT).unwrap();
    fs::write(&other, SHORT).unwrap();
    let files = ["dev", "--blueprint", one.to_str().unwrap(), "--blueprint", other.to_str().unwrap()];
    let (_, stderr, code) = run(&files);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("other.json") && stderr.contains("`short` already"), "{stderr}");
}

#[tokio::test]
async fn an_imitated_orchestrator_gives_up_what_nobody_takes_and_its_workers_finish_their_polls() {
    for version in ["1.0b12", "1.0b30"] {
        let script = r#"echo "polls: ${WORKER_SHUTDOWN_POLLS-unset}"; sleep 600"#;
        let dev = Dev::start(&["--as", version, "--", "sh", "-c", script], &[]).await;
        dev.process.wait_for_line("[dev] polls: unset").await;
        let (_, stderr, code) = dev.run(&["submit", "x", "--wait"]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("no suitable workers"), "{stderr}");
    }
    let dev =
        Dev::start(&["--", "sh", "-c", r#"echo "polls: $WORKER_SHUTDOWN_POLLS"; sleep 600"#], &[]).await;
    dev.process.wait_for_line("[dev] polls: drop").await;
}
