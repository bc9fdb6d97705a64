//! The list of tasks, with 10,000 of them.

use avtomatika_dev::TaskStatus;
use page_tests::{Page, Stage, until};
use serde_json::json;

/// More than are drawn at once, and than a page of the list has.
const MANY: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_found_among_ten_thousand() {
    let stage = Stage::alone().await;
    for number in 0..MANY {
        stage.submit("archive", &json!({ "note": format!("parcel {number}") }));
    }
    let page = Page::open(&stage.url(), "/tasks").await;
    page.has("table", "Tasks", "aria-rowcount", "10000").await;
    let drawn =
        page.script("return document.querySelectorAll('table[aria-label=Tasks] tbody tr').length", vec![]);
    assert!(drawn.await.as_u64().is_some_and(|rows| rows < 200), "a part is drawn");
    page.fill("searchbox", "Search tasks", "parcel 7345").await;
    page.has("table", "Tasks", "aria-rowcount", "1").await;
    let job = stage.submitted("the one", |_| true).await; // The newest is another one.
    let found =
        page.script("return document.querySelector('table[aria-label=Tasks] tbody a').textContent", vec![]);
    let found = found.await.as_str().expect("a link with an id").to_owned();
    assert_ne!(found, job.job_id.to_string());
    assert!(stage.task(&found).params.expect("kept").get().contains("parcel 7345"));
    page.arrives("the search is in the address", |path| path.contains("q=parcel")).await;
    page.click("link", &found).await;
    page.find("heading", &format!("archive {found}")).await;
    page.back().await;
    page.has("table", "Tasks", "aria-rowcount", "1").await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_are_chosen_and_cancelled() {
    let stage = Stage::alone().await;
    for number in 0..50 {
        stage.submit("archive", &json!({ "number": number }));
    }
    let kept = stage.submit("other", &json!({}));
    let page = Page::open(&stage.url(), "/tasks?type=archive").await;
    page.has("table", "Tasks", "aria-rowcount", "50").await;
    page.click("checkbox", "Choose all").await;
    page.click("button", "Cancel").await;
    page.find("dialog", "Cancel 50 tasks?").await;
    page.click("button", "Keep them").await;
    page.gone("dialog", "Cancel 50 tasks?").await;
    assert_eq!(stage.task(&kept).status, TaskStatus::Queued);
    page.click("button", "Cancel").await;
    page.click("button", "Cancel 50 tasks").await;
    until("all are cancelled", async || {
        let tasks = stage.orchestrator().tasks(100);
        let cancelled = tasks.iter().filter(|task| task.status == TaskStatus::Cancelled).count();
        (cancelled == 50).then_some(())
    })
    .await;
    assert_eq!(stage.task(&kept).status, TaskStatus::Queued, "what does not match the filter is not chosen");
    page.gone("dialog", "Cancel 50 tasks?").await;
    page.pick("Status", "cancelled").await;
    page.has("table", "Tasks", "aria-rowcount", "50").await;

    // One that has changed meanwhile: the dialog says why, and stays.
    page.goto("/tasks?type=other").await;
    page.click("checkbox", &format!("Choose {kept}")).await;
    page.click("button", "Cancel").await;
    page.find("dialog", "Cancel 1 task?").await;
    stage.orchestrator().cancel(&kept).expect("it waits");
    page.click("button", "Cancel 1 task").await;
    page.find("dialog", "Cancel 1 task?").await;
    until("the reason is said", async || {
        let dialog = page.sees("dialog", "Cancel 1 task?").await?;
        dialog.text().await.ok()?.contains(&kept).then_some(())
    })
    .await;
    page.end().await;
    stage.end().await;
}
