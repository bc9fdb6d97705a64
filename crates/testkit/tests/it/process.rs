//! Programs beside the test.

use std::time::Duration;

use testkit::Program;

const LIMIT: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

#[tokio::test]
async fn output_and_exit_code_are_told() {
    let mut process = shell("echo out; echo err >&2; exit 3").start();
    process.wait_for_line("out").await;
    process.wait_for_line("err").await;
    assert_eq!(process.wait(LIMIT).await.code(), Some(3));
    assert_eq!(process.id(), None);
    process.terminate();
}

#[tokio::test]
async fn a_program_is_asked_to_end_and_may_say_goodbye() {
    let mut process = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done").start();
    process.wait_for_line("ready").await;
    process.terminate();
    assert_eq!(process.wait(LIMIT).await.code(), Some(0));
    assert!(process.printed("bye"));
}

#[tokio::test]
async fn a_program_can_be_ended_by_force() {
    let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done").start();
    process.wait_for_line("ready").await;
    process.kill();
    assert_eq!(process.wait(LIMIT).await.code(), None);
}

#[tokio::test]
async fn the_environment_can_be_clean() {
    let mut process = shell("echo \"[$A][$PATH][$CARGO_MANIFEST_DIR]\"").clean_env().env("A", "b").start();
    assert!(process.wait(LIMIT).await.success());
    let path = std::env::var("PATH").unwrap();
    assert_eq!(process.lines(), [format!("[b][{path}][]")]);
}
