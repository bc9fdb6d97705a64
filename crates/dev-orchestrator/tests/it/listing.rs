//! Lists of tasks.

use avtomatika_dev::{DevOrchestrator, Settings};
use serde_json::{Value, json};

use crate::client::{Worker, get, submit};

async fn start() -> DevOrchestrator {
    DevOrchestrator::start(Settings::new().without_storage()).await.expect("a free port")
}

fn ids(list: &Value) -> Vec<String> {
    let tasks = list["tasks"].as_array().expect("a list");
    tasks.iter().map(|task| task["job_id"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn tasks_are_chosen_by_status_type_worker_and_text() {
    let orchestrator = start().await;
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let done =
        submit(&orchestrator, r#"{"type":"x","params":{"name":"\u041a\u043b\u044e\u0447","n":1.50}}"#).await;
    worker.run(json!({"data": {"answer": "Forty-Two"}})).await;
    let failed = submit(&orchestrator, r#"{"type":"x"}"#).await;
    let error = json!({"code": "INVALID_INPUT_ERROR", "message": "no `width`"});
    worker.run(json!({"status": "failure", "error": error})).await;
    let waiting = submit(&orchestrator, r#"{"type":"y"}"#).await;
    for (query, expected) in [
        ("", vec![&waiting, &failed, &done]),
        ("?status=&type=&worker=&q=&before=&limit=", vec![&waiting, &failed, &done]),
        ("?status=failed", vec![&failed]),
        ("?status=failed,queued", vec![&waiting, &failed]),
        ("?type=x", vec![&failed, &done]),
        ("?type=y,z", vec![&waiting]),
        ("?worker=w", vec![&failed, &done]),
        ("?worker=nobody", vec![]),
        ("?q=%D0%9A%D0%9B%D0%AE%D0%A7", vec![&done]),
        ("?q=u041a", vec![]),
        ("?q=1.50", vec![&done]),
        ("?q=forty-two", vec![&done]),
        ("?q=invalid_input", vec![&failed]),
        ("?q=no+%60WIDTH", vec![&failed]),
        ("?q=QUEUED", vec![&waiting]),
        ("?type=x&status=finished&worker=w&q=n", vec![&done]),
    ] {
        let list = get(&orchestrator, &format!("/api/tasks{query}")).await.json();
        assert_eq!(ids(&list).iter().collect::<Vec<_>>(), expected, "{query}");
        assert_eq!((&list["total"], &list["next"]), (&json!(expected.len()), &Value::Null), "{query}");
    }
    let list = get(&orchestrator, &format!("/api/tasks?q={failed}")).await.json();
    let shown = &list["tasks"][0];
    assert_eq!(
        (&shown["status"], &shown["error"]["code"]),
        (&json!("failed"), &json!("INVALID_INPUT_ERROR"))
    );
    for member in ["params", "data", "tries"] {
        assert_eq!(shown.get(member), None, "{member}");
    }
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn pages_follow_one_another_while_tasks_arrive() {
    let orchestrator = start().await;
    for _ in 0..5 {
        submit(&orchestrator, r#"{"type":"x"}"#).await;
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2&type=x".to_owned());
    let first = get(&orchestrator, "/api/tasks").await.json();
    loop {
        let page = get(&orchestrator, &format!("/api/tasks{query}")).await.json();
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        submit(&orchestrator, r#"{"type":"x"}"#).await;
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&type=x&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids(&first), "no task twice, none left out");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_the_value_and_what_was_expected() {
    let orchestrator = start().await;
    for (query, expected) in [
        ("?status=done", "`done` is not a status, expected `queued`, `running`"),
        ("?status=queued,", "`` is not a status"),
        ("?status=queued&status=failed", "status"),
        ("?limit=0", "`limit` is `0`, expected a number from 1 to 1000"),
        ("?limit=1001", "`limit` is `1001`"),
        ("?limit=-1", "`limit` is `-1`"),
        ("?limit=ten", "`limit` is `ten`"),
        ("?limit=1.5", "`limit` is `1.5`"),
        ("?before=job-x-1", "`before` is `job-x-1`, expected the `next` of the page before"),
        ("?before=%00", "`before` is `\0`"),
        ("?page=1", "page"),
    ] {
        let text = get(&orchestrator, &format!("/api/tasks{query}")).await.error(400);
        assert!(text.contains(expected), "{query}: {text}");
    }
    orchestrator.shutdown().await;
}
