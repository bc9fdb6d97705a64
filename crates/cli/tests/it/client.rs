//! The commands of the client, against a development server.

use crate::program::{command, json_lines, printed, run};
use crate::server::Dev;

#[tokio::test]
async fn a_task_is_submitted_listed_shown_and_cancelled() {
    let dev = Dev::start(&[], &[]).await;
    let (stdout, stderr, code) = dev.run(&["submit", "resize", "width=640", "name=it's 5"]);
    assert_eq!(code, Some(0), "{stderr}");
    let id = stdout.trim_end();
    assert!(id.starts_with("job-") && !id.contains('\n'), "{stdout}");

    let (stdout, _, code) = dev.run(&["task", id]);
    assert_eq!(code, Some(0));
    for expected in ["resize", id, "status     queued", r#"params     {"width":640,"name":"it's 5"}"#] {
        assert!(stdout.contains(expected), "{expected} in {stdout}");
    }
    let (stdout, _, _) = dev.run(&["task", id, "--json"]);
    let task = &json_lines("task", &stdout)[0];
    assert_eq!(task["params"], serde_json::json!({"width": 640, "name": "it's 5"}));

    let (stdout, _, code) = dev.run(&["tasks"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("Id ") && stdout.contains(id) && stdout.contains("queued"), "{stdout}");
    let (stdout, _, _) = dev.run(&["--json", "tasks", "--status", "queued"]);
    let list = &json_lines("tasks", &stdout)[0];
    assert_eq!((&list["total"], &list["tasks"][0]["job_id"]), (&1.into(), &id.into()));

    let (stdout, _, code) = dev.run(&["cancel", id, "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(json_lines("cancel", &stdout), [serde_json::json!({"id": id, "status": "cancelled"})]);
    let (stdout, stderr, code) = dev.run(&["cancel", id]);
    assert_eq!((stdout.as_str(), code), ("", Some(1)));
    assert!(stderr.contains("error: ") && stderr.contains("already cancelled"), "{stderr}");

    let (stdout, stderr, code) = dev.run(&["workers"]);
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("", "no workers\n", Some(0)));
    let (stdout, _, _) = dev.run(&["workers", "--json"]);
    assert_eq!(json_lines("workers", &stdout).len(), 1);
}

#[tokio::test]
async fn several_tasks_are_several_lines() {
    let dev = Dev::start(&["--no-storage"], &[]).await;
    let (stdout, _, code) = dev.run(&["submit", "x", "--count", "3", "--json", "--priority", "-1.5"]);
    assert_eq!(code, Some(0));
    let lines = json_lines("submit", &stdout);
    assert_eq!(lines.len(), 3);
    let ids: Vec<&str> = lines.iter().map(|line| line["job_id"].as_str().expect("an id")).collect();

    // One of them is unknown: the others are cancelled all the same.
    let (stdout, stderr, code) = dev.run(&["cancel", ids[0], "job-none", ids[1]]);
    assert_eq!((stdout.lines().count(), code), (2, Some(1)), "{stderr}");
    assert!(stderr.contains("`job-none`"), "{stderr}");
}

#[tokio::test]
async fn the_result_of_a_task_that_does_not_finish_is_a_failure() {
    let dev = Dev::start(&[], &[]).await;
    let mut submit = command(&["submit", "x", "--wait", "--json"]);
    submit.env("ORCHESTRATOR_URL", dev.url()).stdout(std::process::Stdio::piped());
    let submit = submit.stderr(std::process::Stdio::piped()).spawn().expect("started");
    let id = loop {
        let (stdout, _, _) = dev.run(&["tasks", "--json"]);
        if let Some(id) = json_lines("tasks", &stdout)[0]["tasks"][0]["job_id"].as_str() {
            break id.to_owned();
        }
    };
    dev.run(&["cancel", &id]);
    let (stdout, stderr, code) = printed(&submit.wait_with_output().expect("an end"));
    assert_eq!(code, Some(1), "{stderr}");
    let result = &json_lines("submit", &stdout)[0];
    assert_eq!((&result["status"], &result["data"]), (&"cancelled".into(), &serde_json::Value::Null));
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    for args in
        [&["tasks"][..], &["submit", "x"], &["watch"], &["logs", "job-123", "-f"], &["workers", "--json"]]
    {
        let all = [args, &["--server", "http://me:hidden@127.0.0.1:1"]].concat();
        let (stdout, stderr, code) = run(&all);
        assert_eq!((stdout.as_str(), code), ("", Some(69)), "{args:?}: {stderr}");
        assert!(
            stderr.contains("no server at http://127.0.0.1:1") && stderr.contains("`avtomatika dev`"),
            "{stderr}"
        );
        assert!(!stderr.contains("hidden"), "{stderr}");
    }
}

#[test]
fn wrong_arguments_are_found_before_anything_is_sent() {
    for (args, words) in [
        (&["tasks", "--server", "nonsense"][..], "`--server`: `nonsense` is not the address"),
        (&["submit", "x", "[1]"], "PARAMS is `[1]`, expected an object"),
        (&["submit", "x", "{"], "is not JSON"),
        (&["submit", "x", "a=1", "a=2"], "`a` twice"),
        (&["submit", "x", "a=1", "{}"], "expected words like `width=640`"),
        (
            &["submit", "x", "a=@/no/such/file", "--server", "http://127.0.0.1:1"],
            "cannot read `/no/such/file`",
        ),
        (&["submit"], "<TYPE>"),
        (&["submit", "x", "--count", "0"], "'--count <N>'"),
        (&["cancel"], "<ID>..."),
        (&["tasks", "--color", "sometimes"], "'--color <WHEN>'"),
        (&["help", "nonsense"], "no help on `nonsense`"),
        (&["help", "json", "nonsense"], "`nonsense` prints no JSON"),
    ] {
        let (stdout, stderr, code) = run(args);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    // Nothing on standard input.
    let mut submit = command(&["submit", "x", "-"]);
    let (_, stderr, code) = printed(&submit.stdin(std::process::Stdio::null()).output().expect("started"));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("standard input is empty"), "{stderr}");
}

#[tokio::test]
async fn colours_are_only_where_they_are_wanted() {
    let dev = Dev::start(&[], &[]).await;
    dev.run(&["submit", "x"]);
    let (plain, _, _) = dev.run(&["tasks"]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let (coloured, _, _) = dev.run(&["tasks", "--color", "always"]);
    assert!(coloured.contains("\u{1b}[1mId\u{1b}[0m"), "{coloured}");
    let (json, _, _) = dev.run(&["--color=always", "tasks", "--json"]);
    assert!(!json.contains('\u{1b}'), "{json}");
}
