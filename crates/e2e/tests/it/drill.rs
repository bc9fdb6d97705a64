//! `avtomatika drill` on the worker program.

use std::ffi::OsStr;

use e2e::{Drill, worker_program};
use serde_json::Value;

/// Parameters of a task that reads a file of the drill, and can be caught while it runs.
const SLOW_READER: [&str; 4] = [
    "--task",
    "read_input",
    "--params",
    r#"{"input": "s3://avtomatika-payloads/drill/sample.txt", "sleep": 0.6}"#,
];

#[test]
fn the_worker_keeps_every_promise() {
    let drill = Drill::of_worker(&SLOW_READER);
    assert_eq!(drill.with("broken"), [], "{}", drill.stderr);
    assert_eq!(drill.code, 0, "{}", drill.stderr);
    let skipped = drill.with("skipped");
    // A small disk cannot be mounted everywhere.
    assert!(skipped.iter().all(|(name, _)| name == "full_disk"), "{skipped:?}");
    check_form(&drill);
}

/// Checks the report of a whole drill.
fn check_form(drill: &Drill) {
    let report = drill.report();
    let help = Drill::command().args(["help", "json", "drill"]).output().expect("it starts");
    let schema: Value = serde_json::from_slice(&help.stdout).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let problems: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((&report["passed"], &report["task"]), (&Value::Bool(true), &"read_input".into()));
    assert!(report["seconds"].as_f64().is_some_and(|seconds| seconds < 180.0), "{}", report["seconds"]);
    let skills = report["worker"]["skills"].as_array().expect("a list");
    assert!(skills.contains(&"echo".into()), "{skills:?}");
    let names: Vec<String> = drill.promises().into_iter().map(|(name, ..)| name).collect();
    let expected = "refuse hang slow cut lose_ack error_5xx unauthorized forget garbage duplicate storage_slow \
                    storage_error storage_cut deploy kill_in_task kill_before_ack cancel expired_token stopped full_disk \
                    too_many";
    assert_eq!(names.join(" "), expected);
    let guide = include_str!("../../../../docs/drill.md");
    for promise in report["promises"].as_array().expect("a list") {
        let (name, read) =
            (promise["name"].as_str().expect("a name"), promise["read"].as_str().expect("a text"));
        assert!(read.starts_with("https://") && read.ends_with(&format!("/docs/drill.md#{name}")), "{read}");
        assert!(guide.contains(&format!("\n### {name}\n")), "`{name}` has no section");
    }
}

#[test]
fn quick_tasks_are_caught_too() {
    let only = ["refuse", "lose_ack", "deploy", "kill_in_task", "kill_before_ack", "cancel"];
    let options: Vec<&str> =
        only.iter().flat_map(|name| ["--only", name]).chain(["--task", "echo"]).collect();
    let drill = Drill::of_worker(&options);
    assert_eq!(drill.with("broken"), [], "{}", drill.stderr);
    let skipped = drill.with("skipped");
    let (_, reason) = skipped.iter().find(|(name, _)| name == "cancel").expect("it is too quick");
    assert!(reason.contains("too quickly to be cancelled"), "{reason}");
    assert_eq!(drill.code, 0);
}

#[test]
fn the_task_is_chosen_among_those_that_the_worker_registered() {
    let drill = Drill::of_worker(&["--only", "forget"]);
    assert_eq!(drill.code, 0, "{}", drill.stderr);
    assert_eq!(drill.promises().len(), 1);
    let task = drill.report()["task"].as_str().expect("a name").to_owned();
    assert!(drill.report()["worker"]["skills"].as_array().expect("a list").contains(&task.into()));
}

#[test]
fn a_task_that_cannot_be_used_is_named() {
    for (options, code, words) in [
        (&["--task", "nothing"][..], 2, "`--task` is `nothing`, but the worker registered `audio`, "),
        (&["--task", "sleep"], 1, "the task `sleep` cannot be used: INVALID_INPUT_ERROR"),
        (
            &["--task", "sleep", "--params", r#"{"seconds": 6}"#],
            1,
            "s, expected at most 5 s: it is run many times",
        ),
    ] {
        let drill = Drill::of_worker(&[options, &["--only", "cancel"]].concat());
        assert_eq!((drill.stdout.as_str(), drill.code), ("", code), "{}", drill.stderr);
        assert!(drill.stderr.contains(words), "{}", drill.stderr);
    }
}

#[test]
fn a_worker_that_ignores_sigterm_breaks_its_promise() {
    let script = r#"trap "" TERM; "$0" & while :; do sleep 0.1; done"#;
    let worker = worker_program();
    let command = [OsStr::new("sh"), OsStr::new("-c"), OsStr::new(script), worker.as_os_str()];
    let options = ["--task", "sleep", "--params", r#"{"seconds": 0.5}"#, "--only", "deploy"];
    let drill = Drill::run(&options, &[("WORKER_SHUTDOWN_TIMEOUT", "0.5")], &command);
    assert_eq!(drill.code, 1, "{}", drill.stderr);
    let broken = drill.with("broken");
    assert!(
        broken[0].1.starts_with("it still ran 4 s after SIGTERM; 0 running tasks got no answer"),
        "{broken:?}"
    );
    assert_eq!(drill.report()["passed"], false);
}

#[test]
fn a_worker_that_can_only_run_once_goes_through_everything_alone() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let (lock, worker) = (folder.path().join("lock"), worker_program());
    let script = r#"exec 9> "$1"; flock -n 9 || exit 3; exec "$0""#;
    let command =
        [OsStr::new("sh"), OsStr::new("-c"), OsStr::new(script), worker.as_os_str(), lock.as_os_str()];
    let only = ["forget", "lose_ack", "duplicate", "deploy", "stopped"];
    let options: Vec<&str> =
        only.iter().flat_map(|name| ["--only", name]).chain(["--task", "echo"]).collect();
    let drill = Drill::run(&options, &[], &command);
    assert_eq!((drill.code, drill.promises().len()), (0, only.len()), "{}", drill.stderr);
    assert!(drill.stderr.contains("the worker exited with code 3 before it registered"), "{}", drill.stderr);
}
