//! `avtomatika drill` on the worker program.

use std::ffi::OsStr;
use std::time::Duration;

use e2e::{Drill, worker_program};
use serde_json::Value;
use testkit::Stopwatch;

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
    // A small disk cannot be mounted everywhere, and a busy machine has no time for everything.
    let is_allowed = |(name, reason): &(String, String)| {
        let slow = ["no result could be caught", "`--only` leaves others out", "too few to wait for polls"];
        name == "full_disk" || slow.iter().any(|words| reason.contains(words))
    };
    let mut skipped = drill.with("skipped");
    skipped.retain(|promise| !is_allowed(promise));
    assert_eq!(skipped, [], "{}", drill.stderr);
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
        broken[0].1.starts_with("it still ran 4 s after SIGTERM") && !broken[0].1.contains("0 running"),
        "{broken:?}"
    );
    assert_eq!(drill.report()["passed"], false);
}

#[test]
fn a_shell_that_ends_before_the_worker_breaks_no_promise() {
    let drill = of_script(r#""$0"; exit $?"#, &["--only", "deploy"]);
    let held = drill.with("held");
    assert_eq!((drill.code, held.len()), (0, 1), "{}", drill.stderr);
    assert!(held[0].1.contains(", every task was answered"), "{held:?}");
}

#[test]
fn nothing_is_begun_or_waited_for_when_the_time_is_over() {
    // The first worker never goes on after four seconds.
    let script = r#""$0" & worker=$!; sleep 4; kill -STOP $worker; wait"#;
    let stopwatch = Stopwatch::start();
    let drill = of_script(script, &["--within", "12", "--only", "refuse", "--only", "forget"]);
    assert_eq!(drill.code, 0, "{}", drill.stderr);
    let skipped = drill.with("skipped");
    assert!(!skipped.is_empty(), "{}", drill.stderr);
    for (_, reason) in &skipped {
        assert!(reason.contains("`--only` leaves others out"), "{reason}");
    }
    assert!(stopwatch.took().is_below(Duration::from_secs(20)), "{:?}", stopwatch.took());
}

#[test]
fn a_deploy_for_which_the_shutdown_time_is_not_left_is_not_begun() {
    let variables = [("WORKER_SHUTDOWN_TIMEOUT", "200")];
    let worker = worker_program();
    let options = ["--task", "sleep", "--params", r#"{"seconds": 0.5}"#, "--only", "deploy"];
    let drill = Drill::run(&options, &variables, &[worker.as_os_str()]);
    let skipped = drill.with("skipped");
    assert_eq!((drill.code, skipped.len()), (0, 1), "{}", drill.stderr);
    assert!(skipped[0].1.starts_with("it may take 210 s, and 1"), "{skipped:?}");
}

#[test]
fn a_worker_that_ends_while_its_task_is_tried_is_said_to_have_ended() {
    let script = r#""$0" & worker=$!; sleep 3; kill -9 $worker; wait $worker; echo no model >&2; exit 3"#;
    let worker = worker_program();
    let command = [OsStr::new("sh"), OsStr::new("-c"), OsStr::new(script), worker.as_os_str()];
    let options = ["--task", "sleep", "--params", r#"{"seconds": 15}"#, "--only", "forget"];
    let stopwatch = Stopwatch::start();
    let drill = Drill::run(&options, &[], &command);
    assert_eq!((drill.code, drill.stdout.as_str()), (1, ""), "{}", drill.stderr);
    assert!(
        drill.stderr.contains("the worker exited with code 3 when its tasks were tried"),
        "{}",
        drill.stderr
    );
    assert!(drill.stderr.contains("no model"), "{}", drill.stderr);
    assert!(stopwatch.took().is_below(Duration::from_secs(12)), "{:?}", stopwatch.took());
}

/// Runs a drill on a shell script whose `$0` is the worker, with tasks that can be caught while they run.
fn of_script(script: &str, options: &[&str]) -> Drill {
    let worker = worker_program();
    let command = [OsStr::new("sh"), OsStr::new("-c"), OsStr::new(script), worker.as_os_str()];
    let task = ["--task", "sleep", "--params", r#"{"seconds": 0.6}"#];
    Drill::run(&[&task, options].concat(), &[], &command)
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
