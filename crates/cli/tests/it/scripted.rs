//! The commands of the client, against answers that a development server gives only in rare moments.

use serde_json::{Value, json};

use crate::program::{LIMIT, json_lines, run, until, watched};
use crate::server::{Scripted, run_at};

const SUBMITTED: &str = r#"{"task_id": "task-1-1", "job_id": "job-1", "status": "queued"}"#;

fn skills(schema: &Value) -> String {
    json!({"skills": [{"name": "resize_image", "input_schema": schema, "workers": ["dev"]}]}).to_string()
}

fn task(status: &str, more: &str) -> String {
    format!(r#"{{"job_id":"job-1","task_id":"task-1-1","type":"resize_image","status":"{status}"{more}}}"#)
}

#[tokio::test]
async fn parameters_are_checked_against_the_schema_before_they_are_sent() {
    let server = Scripted::start().await;
    let schema = json!({
        "type": "object",
        "properties": {"width": {"type": "integer", "minimum": 1}, "name": {"type": "string"}},
        "required": ["width"],
        "additionalProperties": false,
    });
    server.on("GET /api/skills", 200, &skills(&schema)).on("POST /api/tasks", 202, SUBMITTED);

    let (stdout, stderr, code) = server.run(&["submit", "resize_image", "width=0", "wdith=5"]).await;
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    for problem in ["`width` is `0`, expected at least 1", "`wdith` is unknown, expected `name`, `width`"] {
        assert!(stderr.contains(problem), "{stderr}");
    }
    assert!(server.requests("POST").is_empty());

    // The schema says that this is a text.
    let (stdout, stderr, code) = server.run(&["submit", "resize_image", "width=5", "name=640"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("job-1\n", "", Some(0)));
    let sent = &server.requests("POST /api/tasks")[0];
    assert_eq!(sent.body.as_ref(), br#"{"type":"resize_image","params":{"width":5,"name":"640"}}"#);
    assert_eq!(sent.headers["content-type"], "application/json");

    server.run(&["submit", "--job", "two_step", "width=5"]).await;
    let sent = &server.requests("POST /api/tasks")[1];
    assert_eq!(sent.body.as_ref(), br#"{"job":"two_step","params":{"width":5}}"#);

    let (_, stderr, code) = server.run(&["submit", "resize_imag"]).await;
    assert_eq!(code, Some(0));
    assert!(stderr.contains("warning: ") && stderr.contains("did you mean `resize_image`?"), "{stderr}");
}

#[tokio::test]
async fn parameters_are_sent_byte_for_byte() {
    let server = Scripted::start().await;
    server.on("POST /api/tasks", 202, SUBMITTED);
    let params = "{\"b\": 1e2,\n \"a\":12345678901234567890.50, \"\\u00fc\": null}";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("params.json");
    std::fs::write(&file, params).unwrap();
    server.run(&["submit", "x", params]).await;
    server.run(&["submit", "x", &format!("@{}", file.display())]).await;
    server.run_with(&["submit", "x", "-", "--timeout", "5", "--priority", "2"], &[], Some(params)).await;
    let sent = server.requests("POST /api/tasks");
    let expected = format!("{{\"type\":\"x\",\"params\":{params}}}");
    assert_eq!((sent[0].body.as_ref(), sent[1].body.as_ref()), (expected.as_bytes(), expected.as_bytes()));
    let expected = format!("{{\"type\":\"x\",\"params\":{params},\"priority\":2.0,\"timeout\":5.0}}");
    assert_eq!(sent[2].body.as_ref(), expected.as_bytes());
}

#[tokio::test]
async fn files_are_uploaded_and_their_addresses_are_sent() {
    let server = Scripted::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my photo.jpg");
    let content: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    std::fs::write(&file, &content).unwrap();
    let word = format!("image=@{}", file.display());

    // No storage: nothing is sent.
    let (_, stderr, code) = server.run(&["submit", "x", &word]).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("has no storage"), "{stderr}");
    assert!(server.requests("POST").is_empty() && server.requests("PUT").is_empty());

    server.on("GET /api/files/pictures?limit=1", 200, r#"{"files": [], "next": null}"#);
    let variables = [("S3_DEFAULT_BUCKET", "pictures")];
    let (_, stderr, code) = server.run_with(&["submit", "x", &word], &variables, None).await;
    assert_eq!(code, Some(1), "an upload that is refused: {stderr}");
    let upload = &server.requests("PUT /api/files/pictures/")[0];
    assert_eq!(upload.body, content);
    assert_eq!(upload.headers["content-length"], "300000");
    assert!(upload.path.ends_with("/my%20photo.jpg"), "{}", upload.path);
    assert!(server.requests("POST").is_empty());
}

#[tokio::test]
async fn the_data_of_the_result_are_printed_as_they_came() {
    let server = Scripted::start().await;
    let data = "{ \"n\": 12345678901234567890,\n  \"x\": 1.50 }";
    server.on("POST /api/tasks", 202, SUBMITTED);
    server.on("GET /api/tasks/job-1", 200, &task("running", ",\"progress\":0.5"));
    server.on("GET /api/tasks/job-1", 200, &task("finished", &format!(",\"data\":{data}")));
    let (stdout, stderr, code) = server.run(&["submit", "x", "--wait"]).await;
    assert_eq!((stdout, stderr.as_str(), code), (format!("{data}\n"), "", Some(0)));

    let (stdout, _, code) = server.run(&["submit", "x", "--wait", "--count", "2"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(stdout, "{\"n\":12345678901234567890,\"x\":1.50}\n".repeat(2));

    let (stdout, _, _) = server.run(&["submit", "x", "--watch", "--json"]).await;
    assert_eq!(
        stdout,
        "{\"task_id\":\"task-1-1\",\"status\":\"finished\",\"data\":{\"n\":12345678901234567890,\"x\":1.50},\"error\":null}\n"
    );
    json_lines("submit", &stdout);
}

#[tokio::test]
async fn a_failure_is_said_with_its_code() {
    let server = Scripted::start().await;
    let error = r#","error":{"code":"INVALID_INPUT_ERROR","message":"no\npicture","details":{"a":1}}"#;
    server.on("POST /api/tasks", 202, SUBMITTED);
    server.on("GET /api/tasks/job-1", 200, &task("failed", error));
    let (stdout, stderr, code) = server.run(&["submit", "x", "--wait"]).await;
    assert_eq!((stdout.as_str(), code), ("", Some(1)));
    assert_eq!(stderr, "error: INVALID_INPUT_ERROR: no\\npicture\n");
    let (stdout, stderr, code) = server.run(&["submit", "x", "--wait", "--json"]).await;
    assert_eq!((stderr.as_str(), code), ("", Some(1)));
    assert_eq!(json_lines("submit", &stdout)[0]["error"]["details"], json!({"a": 1}));
}

#[tokio::test]
async fn ctrl_c_while_waiting_leaves_the_task_and_says_how_to_end_it() {
    let server = Scripted::start().await;
    server.on("POST /api/tasks", 202, SUBMITTED);
    server.on("GET /api/tasks/job-1", 200, &task("running", ""));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let before = server.requests("GET /api/tasks/job-1").len();
        let mut submit = watched(&["submit", "x", "--wait"]).env("AVTOMATIKA_URL", server.url()).start();
        until("it asks for the task", async || {
            (server.requests("GET /api/tasks/job-1").len() > before).then_some(())
        })
        .await;
        submit.signal(signal);
        assert_eq!(submit.wait(LIMIT).await.code(), Some(code), "{:?}", submit.lines());
        assert!(submit.printed("`avtomatika cancel job-1`"), "{:?}", submit.lines());
    }
    assert!(server.requests("POST /api/tasks/job-1").is_empty());
}

#[tokio::test]
async fn a_unique_beginning_of_an_id_is_enough() {
    let server = Scripted::start().await;
    let list = |ids: &[&str]| {
        let tasks: Vec<Value> = ids
            .iter()
            .map(|id| json!({"job_id": id, "task_id": format!("{id}-t"), "type": "x", "status": "queued"}))
            .collect();
        json!({"tasks": tasks, "total": ids.len(), "next": null}).to_string()
    };
    server.on("GET /api/tasks?limit=1000&q=job-12", 200, &list(&["job-123-1", "other", "job-123-2"]));
    server.on("GET /api/tasks?limit=1000&q=job-123-1", 200, &list(&["job-123-1"]));
    server.on("GET /api/tasks/job-123-10", 200, &task("queued", ""));
    let (stdout, stderr, code) = server.run(&["task", "job-12"]).await;
    assert_eq!((stdout.as_str(), code), ("", Some(2)), "{stderr}");
    assert!(stderr.contains("`job-123-1`, `job-123-2`") && !stderr.contains("other"), "{stderr}");
    // Too short to be looked up.
    let (_, stderr, code) = server.run(&["task", "job-1"]).await;
    assert_eq!(code, Some(1), "{stderr}");

    server.on("GET /api/tasks/job-123-1", 404, r#"{"error": "unknown"}"#);
    let (_, stderr, code) = server.run(&["task", "job-123-1"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(server.requests("GET /api/tasks/job-123-1").len(), 2, "the id that was found is asked for");
}

#[tokio::test]
async fn a_task_is_shown_with_its_tries() {
    let server = Scripted::start().await;
    let more = r#","attempts":2,"tries":[{"task_id":"task-1-0","worker_id":"dev","status":"failure",
        "error":{"code":"TRANSIENT_ERROR","message":"no network"}}],"of":"job-0","retried_as":["job-2"]"#;
    server.on("GET /api/tasks/job-1", 200, &task("finished", more));
    let (stdout, stderr, code) = server.run(&["task", "job-1"]).await;
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    insta::assert_snapshot!("task", stdout);
}

#[tokio::test]
async fn tasks_are_retried_with_the_same_or_other_parameters() {
    let server = Scripted::start().await;
    server.on("GET /api/tasks/job-1", 200, &task("failed", ""));
    server.on("GET /api/tasks/job-2", 200, &task("running", ""));
    server.on("POST /api/tasks/job-1/retry", 202, r#"{"task_id":"task-2-1","job_id":"job-3","of":"job-1"}"#);
    server.on("POST /api/tasks/job-2/retry", 409, r#"{"error": "`job-2` is running"}"#);
    let (stdout, stderr, code) = server.run(&["retry", "job-1"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("job-3\n", "", Some(0)));
    let (stdout, stderr, code) =
        server.run(&["retry", "job-2", "job-1", "--params", "{\"a\": 1.0}", "--json"]).await;
    assert_eq!((json_lines("retry", &stdout).len(), code), (1, Some(1)));
    assert_eq!(stderr, "error: `job-2` is running\n");
    let sent = server.requests("POST /api/tasks/job-1/retry");
    assert_eq!(
        (sent[0].body.as_ref(), sent[1].body.as_ref()),
        (&b"{}"[..], &b"{\"params\":{\"a\": 1.0}}"[..])
    );
}

#[tokio::test]
async fn a_log_is_printed_and_followed_until_the_task_has_ended() {
    let server = Scripted::start().await;
    let line = |n: u64, text: &str| json!({"n": n, "at": 3725.25, "level": "INFO", "text": text, "source": "stderr", "worker_id": "dev"});
    let page = |lines: &[Value], next: u64| json!({"lines": lines, "next": next}).to_string();
    server.on("GET /api/tasks/job-1", 200, &task("running", ""));
    server.on("GET /api/tasks/job-1/logs", 200, &page(&[line(1, "one"), line(2, "two\u{1b}[2J")], 2));
    server.on("GET /api/tasks/job-1/logs?after=2", 200, &page(&[], 2));
    let (stdout, stderr, code) = server.run(&["logs", "job-1"]).await;
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    assert_eq!(stdout, "01:02:05.250Z INFO one\n01:02:05.250Z INFO two\\u{1b}[2J\n");

    let server = Scripted::start().await;
    server.on("GET /api/tasks/job-1", 200, &task("running", ""));
    server.on("GET /api/tasks/job-1", 200, &task("running", ""));
    server.on("GET /api/tasks/job-1", 200, &task("finished", ""));
    server.on("GET /api/tasks/job-1/logs", 200, &page(&[line(1, "one")], 1));
    server.on("GET /api/tasks/job-1/logs?after=1", 200, &page(&[], 1));
    server.on("GET /api/tasks/job-1/logs?after=1", 200, &page(&[line(2, "two")], 2));
    server.on("GET /api/tasks/job-1/logs?after=2", 200, &page(&[], 2));
    let (stdout, stderr, code) = server.run(&["logs", "-f", "job-1", "--json"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let texts: Vec<Value> = json_lines("logs", &stdout).iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[tokio::test]
async fn what_happens_is_watched() {
    let server = Scripted::start().await;
    let stream = [
        ("snapshot", json!({"counts": {}, "tasks": [], "workers": []}).to_string()),
        ("task", task("running", "")),
        ("task", task("finished", r#","started_at":10.0,"ended_at":10.42"#)),
    ];
    let stream: Vec<String> = stream
        .iter()
        .enumerate()
        .map(|(id, (name, data))| format!("event: {name}\nid: s-{id}\ndata: {data}\n\n"))
        .collect();
    let stream = stream.concat();
    server.on_events("GET /api/events", &stream);
    let mut watch = watched(&["watch"]).env("AVTOMATIKA_URL", server.url()).start();
    watch.wait_for_line("finished     resize_image  job-1  0.42 s").await;
    // The stream has ended, so it is asked for again, after the last event.
    watch.wait_for_line("connection lost").await;
    watch.wait_for_line("connected again").await;
    watch.signal("INT");
    assert_eq!(watch.wait(LIMIT).await.code(), Some(130), "{:?}", watch.lines());
    assert_eq!(server.requests("GET /api/events")[1].headers["last-event-id"], "s-2");

    let mut watch = watched(&["watch", "--json"]).env("AVTOMATIKA_URL", server.url()).start();
    let line = watch.wait_for_line("\"finished\"").await;
    assert_eq!(json_lines("watch", &line)[0]["event"], "task");
    watch.terminate();
    assert_eq!(watch.wait(LIMIT).await.code(), Some(143));

    // A reader that goes away ends it.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut watch = crate::program::command(&["watch"]);
    let mut watch = watch.env("AVTOMATIKA_URL", server.url()).stdout(writer).spawn().unwrap();
    drop(reader);
    let ended = tokio::task::spawn_blocking(move || watch.wait().unwrap()).await.unwrap();
    assert_eq!(ended.code(), Some(0));

    // Named tasks end it.
    server.on("GET /api/tasks/job-1", 200, &task("failed", ""));
    let (stdout, stderr, code) = server.run(&["watch", "job-1"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.starts_with("failed       resize_image  job-1"), "{stdout}");
}

#[tokio::test]
async fn other_servers_are_told_from_refusals() {
    let server = Scripted::start().await;
    let (_, stderr, code) = server.run(&["tasks"]).await;
    assert_eq!((stderr.as_str(), code), ("error: nothing at GET /api/tasks\n", Some(1)));
    server.on_html("GET /api/tasks", 200).on_html("GET /api/workers", 502);
    for args in [&["tasks"][..], &["workers"], &["tasks", "--json"]] {
        let (stdout, stderr, code) = server.run(args).await;
        assert_eq!((stdout.as_str(), code), ("", Some(69)), "{stderr}");
        assert!(stderr.contains("is it a server of Avtomatika?"), "{stderr}");
    }
}

#[tokio::test]
async fn a_real_orchestrator_gets_jobs_with_a_token() {
    let server = Scripted::start().await;
    server.on("POST /api/v1/jobs/resize", 202, r#"{"job_id": "abc"}"#);
    server.on("GET /api/v1/jobs/abc", 200, r#"{"id": "abc", "status": "running"}"#);
    server.on(
        "GET /api/v1/jobs/abc",
        200,
        r#"{"id": "abc", "status": "finished", "state_history": {"width": 5}}"#,
    );
    server.on("POST /api/v1/jobs/none", 401, r#"{"error": "Unauthorized"}"#);
    let token = ["--client-token", "secret"];
    let submit = |more: &[&'static str]| [&["submit", "--job"], more, &token[..]].concat();
    let (stdout, stderr, code) = server.run(&submit(&["resize", "{\"a\": 1.0}", "--wait"])).await;
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("{\"width\":5}\n", "", Some(0)));
    let sent = &server.requests("POST /api/v1/jobs/resize")[0];
    assert_eq!(
        (sent.body.as_ref(), &sent.headers["x-client-token"]),
        (&b"{\"a\": 1.0}"[..], &"secret".parse().unwrap())
    );

    let (_, stderr, code) = server.run(&submit(&["none"])).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("set `--client-token`") && !stderr.contains("secret"), "{stderr}");
    let (_, stderr, code) = server.run(&["submit", "resize", "--client-token", "secret"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("expected `--job NAME`"), "{stderr}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_nobody() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_, stderr, code) = run_at(&url, &["tasks"]);
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains("no answer within the time limit"), "{stderr}");
}

#[test]
fn every_schema_is_one() {
    let (stdout, _, _) = run(&["help", "json", "nonsense"]);
    assert_eq!(stdout, "");
    for command in
        ["cancel", "config", "demo", "dev", "logs", "retry", "submit", "task", "tasks", "watch", "workers"]
    {
        assert!(json_lines(command, "").is_empty());
    }
}
