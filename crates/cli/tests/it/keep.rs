//! `avtomatika demo --keep`: the printed commands work when they are pasted.

use std::path::Path;

use serde_json::Value;
use testkit::Process;

use crate::program::{LIMIT, watched};

/// Runs a command line as a shell would; its answer has to be JSON.
async fn paste(line: String) -> Value {
    let mut shell = tokio::process::Command::new("sh");
    let output = shell.args(["-c", &line]).output().await.expect("a shell");
    let answer = String::from_utf8(output.stdout).expect("text");
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: `{line}` answered `{answer}`"))
}

async fn keep(temporary: &Path, variables: &[(&str, &str)]) -> Process {
    let program = watched(&["demo", "--keep", "--width", "64"]).env("TMPDIR", temporary);
    let demo = program.envs(variables.iter().copied()).start();
    // One by one, since each wait has a limit of its own: without optimisation every stage is slow.
    for text in ["queued", "resizing", "encoding", "finished", "Show a task by"] {
        demo.wait_for_line(text).await;
    }
    demo
}

#[tokio::test]
async fn the_printed_commands_submit_a_task_and_show_it() {
    let temporary = tempfile::tempdir().unwrap();
    // A quote in the path, so that the printed commands have to be quoted correctly.
    let directory = temporary.path().join("it's here");
    std::fs::create_dir(&directory).unwrap();
    let mut demo = keep(&directory, &[]).await;

    let submit = demo.wait_for_line("/api/tasks -H").await;
    let look = demo.wait_for_line("/api/tasks/job-").await;
    let first = paste(look.clone()).await;
    assert_eq!(
        (first["status"].as_str(), &first["data"]["width"]),
        (Some("finished"), &64.into()),
        "{first}"
    );

    // Twice: a command is pasted again sooner or later.
    for _ in 0..2 {
        let submitted = paste(submit.clone()).await;
        let job = submitted["job_id"].as_str().unwrap();
        let line = demo.wait_for_line(&format!("resize_image {job}: finished")).await;
        let base = look.rsplit_once('/').unwrap().0;
        let task = paste(format!("{base}/{job}")).await;
        assert_eq!(task["status"], "finished", "{task}");
        let uri = task["data"]["picture"].as_str().unwrap();
        assert!(uri.starts_with("s3://avtomatika-payloads/") && uri.ends_with("/landscape-32.jpg"), "{uri}");
        // The result is saved beside the others.
        let path = line.rsplit_once(", ").unwrap().1;
        assert!(Path::new(path).starts_with(&directory), "{path}");
        assert_eq!(image::image_dimensions(path).unwrap(), (32, 24));
    }

    let missing = submit.replace("originals", "missing");
    let submitted = paste(missing).await;
    let line = demo.wait_for_line(&format!("{}: quarantined", submitted["job_id"].as_str().unwrap())).await;
    assert!(line.contains("PERMANENT_ERROR") && line.contains("does not exist"), "{line}");
    let variables = [
        "ORCHESTRATOR_URL='http://127.0.0.1:",
        "S3_ENDPOINT_URL='http://127.0.0.1:",
        "S3_SECRET_KEY='",
        "S3_DEFAULT_BUCKET='avtomatika-payloads'",
    ];
    for variable in variables {
        assert!(demo.printed(&format!("export {variable}")), "{:?}", demo.lines());
    }

    demo.terminate();
    assert_eq!(demo.wait(LIMIT).await.code(), Some(0), "{:?}", demo.lines());
    assert!(directory.read_dir().unwrap().count() == 1, "the pictures stay");
}

#[tokio::test]
async fn ctrl_c_ends_it_too_and_a_proxy_is_not_used() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = keep(temporary.path(), &[("http_proxy", "http://127.0.0.1:1")]).await;
    let look = demo.wait_for_line("/api/tasks/job-").await;
    let first = paste(format!("http_proxy=http://127.0.0.1:1 {}", look.trim())).await;
    assert_eq!(first["status"], "finished");

    demo.signal("INT");
    assert_eq!(demo.wait(LIMIT).await.code(), Some(0), "{:?}", demo.lines());
}
