//! Tasks as tests and commands.

use std::process::Command;

use avtomatika_dev::{DevOrchestrator, Settings};
use serde_json::{Value, json};

use crate::client::{Worker, get, submit};

#[tokio::test]
async fn a_task_is_written_in_each_language() {
    let settings = Settings::new().without_storage();
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let worker = Worker::registered(&orchestrator, "w", &["resize-image"]).await;
    let params = r#"{ "it's": "\u00e9 \"", "n":18446744073709551616 }"#;
    let task = format!(r#"{{"type":"resize-image","timeout":5,"params":{params}}}"#);
    let job = submit(&orchestrator, &task).await;
    worker.run(json!({"data": {"width": 10}})).await;
    for (language, parts) in [
        ("python", ["def test_resize_image():", "run.data == json.loads(\"{\\\"width\\\":10}\")"]),
        ("rust", ["async fn runs_resize_image()", r##"serde_json::from_str(r#"{"width":10}"#)?"##]),
        ("curl", ["/api/tasks' -H 'Content-Type: application/json'", r#"{ "it'\''s": "#]),
    ] {
        let answer = get(&orchestrator, &format!("/api/tasks/{job}/test?lang={language}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["content-type"]),
            (200, &"text/plain; charset=utf-8".parse().expect("a header"))
        );
        let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    for (query, shown) in
        [("", "``"), ("?lang=", "``"), ("?lang=perl", "`perl`"), ("?lang=Python", "`Python`")]
    {
        let text = get(&orchestrator, &format!("/api/tasks/{job}/test{query}")).await.error(400);
        assert_eq!(text, format!("`lang` is {shown}, expected `python`, `rust` or `curl`"));
    }
    get(&orchestrator, &format!("/api/tasks/{job}/test?language=rust")).await.error(400);
    get(&orchestrator, "/api/tasks/job-x/test?lang=curl").await.error(404);
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_command_makes_a_task_with_the_same_bytes() {
    let settings = Settings::new().without_storage();
    let orchestrator = DevOrchestrator::start(settings).await.expect("a free port");
    let params = "{ \"it's\":\t\"$(x) `y` \\u00e9 ключ\",\n\"n\":1.50,\"n\":2 }";
    let job =
        submit(&orchestrator, &format!(r#"{{"type":"x","timeout":5,"priority":-2,"params":{params}}}"#))
            .await;
    let answer = get(&orchestrator, &format!("/api/tasks/{job}/test?lang=curl")).await;
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    // The shell passes the body on to a function in place of `curl`, which may not be installed.
    let script = format!("curl() {{ for last; do :; done; printf '%s' \"$last\"; }}\n{text}");
    let output = Command::new("sh").arg("-c").arg(script).output().expect("a shell");
    let again = submit(&orchestrator, std::str::from_utf8(&output.stdout).expect("UTF-8")).await;
    let shown = get(&orchestrator, &format!("/api/tasks/{again}")).await;
    assert!(String::from_utf8_lossy(&shown.body).contains(params), "{shown:?}");
    let view: Value = shown.json();
    assert_eq!(
        (&view["type"], &view["timeout"], &view["priority"]),
        (&json!("x"), &json!(5.0), &json!(-2.0))
    );
    orchestrator.shutdown().await;
}
