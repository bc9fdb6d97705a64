//! `avtomatika drill` without a worker that works. `crates/e2e` has the tests with one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use testkit::Stopwatch;

use crate::program::{LIMIT, run, watched};

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
    // Two of each worker, and there are two workers.
    let started = async {
        while fs::read_to_string(&ids).unwrap_or_default().lines().count() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(testkit::PATIENCE, started).await.expect("both workers start");
    let stopwatch = Stopwatch::start();
    drill.signal("INT");
    assert_eq!(drill.wait(LIMIT).await.code(), Some(130), "{:?}", drill.lines());
    assert!(stopwatch.took().is_below(Duration::from_secs(5)), "{:?}", stopwatch.took());
    for id in fs::read_to_string(&ids).unwrap().lines() {
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "{id}");
    }
}
