//! `avtomatika drill` without a worker that works. `crates/e2e` has the tests with one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::Stopwatch;

use crate::program::{LIMIT, command, run, until, watched};

#[test]
fn arguments_that_make_no_sense_are_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let worker = ["--", "touch", started.to_str().unwrap()];
    for (options, words) in [
        (&["--only", "fire"][..], "`--only` is `fire`, expected one of `refuse`, `hang`, "),
        (&["--only", "deploy", "--only", ""], "`--only` is ``, expected one of "),
        (&["--params", "{}"], "--task <TYPE>"),
        (&["--task", "x", "--params", "{"], "`--params` is `{`, expected a JSON object: "),
        (&["--task", "x", "--params", "[1]"], "`--params` is `[1]`, expected a JSON object"),
        (&["--register-within=-1"], "`--register-within`"),
    ] {
        let (stdout, stderr, code) = run(&[&["drill"], options, &worker].concat());
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{options:?}: {stderr}");
        assert!(stderr.contains(words), "{options:?}: {stderr}");
    }
    assert!(!started.exists());
    let (stdout, stderr, code) = run(&["drill"]);
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    assert!(stderr.contains("-- <COMMAND>..."), "{stderr}");
}

#[test]
fn all_names_are_listed_with_a_wrong_one() {
    let (_, stderr, _) = run(&["drill", "--only", "fire", "--", "true"]);
    for name in ["too_many", "storage_cut", "kill_in_task", "kill_before_ack", "expired_token", "full_disk"] {
        assert!(stderr.contains(&format!("`{name}`")), "{name}: {stderr}");
    }
}

#[test]
fn a_command_that_cannot_be_started_is_a_wrong_argument() {
    for (command, words) in [
        ("/no/such/worker", "error: cannot start `/no/such/worker`: No such file"),
        ("/etc/passwd", "error: cannot start `/etc/passwd`: Permission denied"),
    ] {
        let (stdout, stderr, code) = run(&["drill", "--json", "--", command]);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn a_worker_that_ends_or_never_registers_fails_with_its_last_lines() {
    for (script, words) in [
        (
            "echo no model >&2; exit 3",
            "error: the worker exited with code 3 before it registered; its last lines:\n  no model",
        ),
        ("kill -9 $$", "error: the worker was killed by SIGKILL before it registered"),
        (
            "echo waiting; exec sleep 600",
            "error: the worker did not register within 0.5 s; its last lines:\n  waiting",
        ),
    ] {
        let (stdout, stderr, code) =
            run(&["drill", "--json", "--register-within", "0.5", "--", "sh", "-c", script]);
        assert_eq!((stdout.as_str(), code), ("", Some(1)), "{script}: {stderr}");
        assert!(stderr.contains(words), "{script}: {stderr}");
    }
}

#[tokio::test]
async fn ctrl_c_ends_everything_that_the_drill_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let ids = folder.path().join("ids");
    let script = format!(
        "trap '' TERM; (setsid sh -c 'echo $$ >> {ids}; exec sleep 600' &) ; echo $$ >> {ids}
        while :; do sleep 0.05; done",
        ids = ids.display()
    );
    let mut drill = watched(&["drill", "--", "sh", "-c", &script]).start();
    // Two of the worker; the second one would start once this one has run a task.
    let lines = || fs::read_to_string(&ids).unwrap_or_default().lines().count();
    until("the worker starts", async || (lines() >= 2).then_some(())).await;
    let stopwatch = Stopwatch::start();
    drill.signal("INT");
    assert_eq!(drill.wait(LIMIT).await.code(), Some(130), "{:?}", drill.lines());
    assert!(stopwatch.took().is_below(Duration::from_secs(5)), "{:?}", stopwatch.took());
    for id in fs::read_to_string(&ids).unwrap().lines() {
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "{id}");
    }
}

#[tokio::test]
async fn a_terminal_that_takes_nothing_stops_neither_the_worker_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written");
    // Four megabytes, of which nobody reads any.
    let script = format!(
        "x=$(head -c 1000 /dev/zero | tr '\\0' x); i=0
        while [ $i -lt 4000 ]; do echo $x; i=$((i + 1)); done; touch {}; exec sleep 600",
        written.display()
    );
    let drill = command(&["drill", "--verbose", "--only", "deploy", "--", "sh", "-c", &script]);
    let mut drill = tokio::process::Command::from(drill);
    drill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut drill = drill.spawn().expect("started");
    until("the worker writes everything", async || written.exists().then_some(())).await;
    let stopwatch = Stopwatch::start();
    let id = drill.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("sent").success());
    let status = tokio::time::timeout(LIMIT, drill.wait()).await.expect("in time").expect("an end");
    assert_eq!(status.code(), Some(130));
    assert!(stopwatch.took().is_below(Duration::from_secs(5)), "{:?}", stopwatch.took());
}

#[test]
fn what_a_drill_that_was_killed_left_behind_is_removed_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let rest = folder.path().join("avtomatika-drill-rest");
    fs::create_dir_all(rest.join("storage/avtomatika-s3-x")).unwrap();
    let output = command(&["drill", "--", "false"]).env("TMPDIR", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{output:?}");
}
