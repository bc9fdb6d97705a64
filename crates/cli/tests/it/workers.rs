//! `avtomatika dev -- COMMAND`: workers are started, restarted, and ended with everything that descends from them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use testkit::Stopwatch;

use crate::program::{LIMIT, until};
use crate::server::Dev;

/// Starts a server with a shell script as its worker.
async fn dev(args: &[&str], script: &str, variables: &[(&str, &str)]) -> Dev {
    Dev::start(&[args, &["--", "sh", "-c", script]].concat(), variables).await
}

/// Waits until a file is there, and returns its lines.
async fn lines_of(path: &Path, count: usize) -> Vec<String> {
    until(&format!("{count} lines in {}", path.display()), async || {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
    .await
}

/// Waits until a process is gone, or was only not waited for by its new parent.
async fn wait_for_end(id: &str) {
    until(&format!("the end of process {id}"), async || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"));
        let is_zombie =
            |stat: &str| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
        stat.map_or(true, |stat| is_zombie(&stat)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_gets_the_address_and_the_keys_whatever_the_shell_had() {
    let script = r#"echo "$ORCHESTRATOR_URL $WORKER_TOKEN $S3_ENDPOINT_URL $S3_ACCESS_KEY $S3_SECRET_KEY" >&2
        echo "$WORKER_ID $WORKER_PORT $LOG_FORMAT $WORKER_ENABLE_WEBSOCKETS $PYTHONUNBUFFERED"; sleep 600"#;
    let old = [("ORCHESTRATOR_URL", "http://old"), ("S3_SECRET_KEY", "old"), ("WORKER_PORT", "8083")];
    let dev = dev(&[], script, &old).await;
    let storage = &dev.banner["storage"];
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let expected = format!(
        "[dev] {} {} {} {} {}",
        dev.url(),
        text(&dev.banner["token"]),
        text(&storage["endpoint"]),
        text(&storage["access_key"]),
        text(&storage["secret_key"])
    );
    dev.process.wait_for_line(&expected).await;
    dev.process.wait_for_line("[dev] dev 8083 json true 1").await;
}

#[tokio::test]
async fn a_worker_whose_shell_is_set_up_for_real_orchestrators_only_knows_the_server() {
    let script = r#"echo "<$ORCHESTRATORS_CONFIG> <$WORKER_INDIVIDUAL_TOKEN> $REQUIRE_TASK_SIGNATURE $NO_PROXY"
        sleep 600"#;
    let real = [
        ("ORCHESTRATORS_CONFIG", r#"[{"url": "http://real"}]"#),
        ("WORKER_INDIVIDUAL_TOKEN", "real"),
        ("ORCHESTRATOR_SECRET_KEY", "real"),
        ("http_proxy", "http://proxy:3128"),
    ];
    let dev = dev(&["--no-storage"], script, &real).await;
    let address = dev.url().strip_prefix("http://").expect("an address").to_owned();
    dev.process.wait_for_line(&format!("[dev] <> <> false {address}")).await;
}

#[tokio::test]
async fn several_workers_have_names_and_logs_as_json_are_shown_as_text() {
    let script = r#"echo "{\"level\":\"INFO\",\"message\":\"hello\"}"; printf 'no end'; sleep 600"#;
    let dev = dev(&["--workers", "2"], script, &[("WORKER_ID", "mine")]).await;
    dev.process.wait_for_line("[mine-1] INFO hello").await;
    dev.process.wait_for_line("[mine-2] INFO hello").await;
}

#[tokio::test]
async fn a_worker_that_ends_is_started_again_after_a_longer_time() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let script = format!("echo x >> {}; exit 3", starts.display());
    let mut dev = dev(&[], &script, &[]).await;
    dev.process.wait_for_line("[dev] exited with code 3, starting again in 1 s").await;
    dev.process.wait_for_line("[dev] exited with code 3, starting again in 2 s").await;
    assert_eq!(lines_of(&starts, 2).await.len(), 2);
    dev.process.terminate();
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0), "{:?}", dev.process.lines());
}

#[tokio::test]
async fn the_reason_of_an_end_is_said() {
    for (script, words) in [
        ("exit 0", "[dev] exited with code 0, starting again in 1 s"),
        ("kill -9 $$", "[dev] killed by SIGKILL, starting again in 1 s"),
        (
            "exit 2",
            "[dev] exited with code 2 (configuration): not started again until a watched file changes",
        ),
    ] {
        let dev = dev(&[], script, &[]).await;
        dev.process.wait_for_line(words).await;
    }
    let dev = Dev::start(&["--", "/no/such/worker"], &[]).await;
    dev.process.wait_for_line("[dev] error: cannot start `/no/such/worker`: No such file").await;
    dev.process.wait_for_line("[dev] exited with code 127 (not found): not started again").await;
    let dev = Dev::start(&["--", "/etc/passwd"], &[]).await;
    dev.process.wait_for_line("[dev] exited with code 126 (not executable): not started again").await;
}

#[tokio::test]
async fn ctrl_c_ends_the_worker_first_and_then_everything_that_descends_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let ids = folder.path().join("ids");
    // One descendant leaves the session, another one is an orphan in a session of its own.
    let script = format!(
        "trap 'echo bye; exit 0' TERM
        setsid sh -c 'echo $$ >> {ids}; exec sleep 600' &
        (setsid sh -c 'echo $$ >> {ids}; exec sleep 600' &)
        sh -c 'trap \"\" TERM; echo $$ >> {ids}; exec sleep 600' &
        while :; do sleep 0.05; done",
        ids = ids.display()
    );
    let mut dev = dev(&[], &script, &[]).await;
    let ids = lines_of(&ids, 3).await;
    let stopwatch = Stopwatch::start();
    dev.process.signal("INT");
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0), "{:?}", dev.process.lines());
    assert!(stopwatch.took().is_below(Duration::from_secs(5)), "{:?}", stopwatch.took());
    assert!(dev.process.printed("[dev] bye"), "{:?}", dev.process.lines());
    assert!(!dev.process.printed("starting again"), "{:?}", dev.process.lines());
    for id in ids {
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "{id}");
    }
}

#[tokio::test]
async fn a_second_ctrl_c_ends_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let ids = folder.path().join("ids");
    let script = format!("trap 'echo no' TERM; echo $$ >> {}; while :; do sleep 0.05; done", ids.display());
    let mut dev = dev(&[], &script, &[]).await;
    let ids = lines_of(&ids, 1).await;
    dev.process.signal("INT");
    dev.process.wait_for_line("[dev] no").await;
    let stopwatch = Stopwatch::start();
    dev.process.signal("INT");
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(130), "{:?}", dev.process.lines());
    assert!(stopwatch.took().is_below(Duration::from_secs(2)), "{:?}", stopwatch.took());
    assert!(!Path::new(&format!("/proc/{}", ids[0])).exists());
}

#[tokio::test]
async fn the_worker_ends_when_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (ids, ends) = (folder.path().join("ids"), folder.path().join("ends"));
    let script = format!(
        "trap 'echo bye > {ends}; exit 0' TERM; setsid sleep 600 & echo $! >> {ids}; echo $$ >> {ids}
        while :; do sleep 0.05; done",
        ids = ids.display(),
        ends = ends.display()
    );
    let mut dev = dev(&[], &script, &[]).await;
    let ids = lines_of(&ids, 2).await;
    dev.process.kill();
    dev.process.wait(LIMIT).await;
    assert_eq!(lines_of(&ends, 1).await, ["bye"]);
    for id in &ids {
        wait_for_end(id).await;
    }
}

#[tokio::test]
async fn a_changed_file_restarts_the_worker_when_it_has_drained() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("worker.py");
    fs::write(&source, "one").unwrap();
    fs::write(folder.path().join(".gitignore"), "*.log\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let script = format!(
        "echo started $(cat {0}/worker.py); trap 'sleep 0.3; echo drained; exit 0' TERM
        while :; do sleep 0.05; done",
        folder.path().display()
    );
    let dev = dev(&["--watch", path], &script, &[]).await;
    dev.process.wait_for_line("[dev] started one").await;
    fs::write(folder.path().join("ignored.log"), "x").unwrap();
    fs::create_dir(folder.path().join("__pycache__")).unwrap();
    fs::write(folder.path().join("__pycache__/x.pyc"), "x").unwrap();
    fs::write(&source, "two").unwrap();
    dev.process.wait_for_line("[dev] started two").await;
    let lines = dev.process.lines();
    let place =
        |text: &str| lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(
        place("changed: ") < place("[dev] drained") && place("[dev] drained") < place("[dev] started two")
    );
    assert!(lines[place("changed: ")].ends_with("worker.py, restarting"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("changed: ")).count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_worker_that_waits_for_a_change_is_started_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let worker = folder.path().join("worker");
    let dev = Dev::start(&["--watch", path, "--", worker.to_str().unwrap()], &[]).await;
    dev.process.wait_for_line("(not found): not started again until a watched file changes").await;
    fs::write(folder.path().join("new"), "#!/bin/sh\necho it runs; exec sleep 600\n").unwrap();
    let mut mode = fs::metadata(folder.path().join("new")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(folder.path().join("new"), mode).unwrap();
    fs::rename(folder.path().join("new"), &worker).unwrap();
    dev.process.wait_for_line("[dev] it runs").await;
}

#[tokio::test]
async fn a_second_change_does_not_wait_for_a_slow_end() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, "1").unwrap();
    let script = format!(
        "trap 'echo slow' TERM; echo started $(cat {}); while :; do sleep 0.05; done",
        source.display()
    );
    let dev = dev(&["--watch", source.to_str().unwrap()], &script, &[]).await;
    dev.process.wait_for_line("[dev] started 1").await;
    fs::write(&source, "2").unwrap();
    dev.process.wait_for_line("[dev] slow").await;
    let stopwatch = Stopwatch::start();
    fs::write(&source, "3").unwrap();
    dev.process.wait_for_line("[dev] started 3").await;
    let took = stopwatch.took();
    assert!(took.is_at_least(Duration::from_secs(1)) && took.is_below(Duration::from_secs(10)), "{took:?}");
}
