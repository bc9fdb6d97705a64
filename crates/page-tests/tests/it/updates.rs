//! What is shown follows what is: unless it is paused, and from the address alone.

use avtomatika_dev::TaskStatus;
use page_tests::{Page, Stage, furnish};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_paused() {
    let stage = Stage::alone().await;
    let page = Page::open(&stage.url(), "/").await;
    page.is_live().await;
    page.find("link", "Queued 0").await;
    page.click("button", "Pause updates").await;
    page.has("button", "Pause updates", "aria-pressed", "true").await;
    page.status("Paused, 0 changes wait").await;
    for number in 1..=3 {
        stage.submit("archive", &json!({ "number": number }));
        page.status(&format!("Paused, {number} changes wait")).await;
    }
    assert!(page.sees("link", "Queued 0").await.is_some(), "nothing has moved");
    page.click("button", "Pause updates").await;
    page.find("link", "Queued 3").await;
    page.is_live().await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_address_opened_anew_shows_the_same() {
    let stage = Stage::start().await;
    let furniture = furnish(&stage).await;
    let page = Page::open(&stage.url(), "/").await;
    page.is_live().await;
    assert_eq!(page.title().await, "Overview · avtomatika");

    page.goto("/tasks?status=failed").await;
    page.has("table", "Tasks", "aria-rowcount", "1").await;
    page.has_value("combobox", "Status", "failed").await;
    page.find("link", &furniture.failed).await;
    page.goto("/tasks?type=resize_image&q=HARBOUR").await;
    page.has("table", "Tasks", "aria-rowcount", "1").await;
    page.has_value("searchbox", "Search tasks", "HARBOUR").await;
    page.goto(&format!("/tasks?worker={}&status=running", stage.worker_id())).await;
    page.has("table", "Tasks", "aria-rowcount", "2").await;

    page.goto(&format!("/tasks/{}", furniture.failed)).await;
    page.find("heading", &format!("summarize {}", furniture.failed)).await;
    page.reads("region", "Error", &["the document has no pages"]).await;
    page.reads("region", "Timeline", &["queued", "inputs", "handler", "outputs", "result"]).await;
    page.goto(&format!("/new?type=resize_image&of={}", furniture.finished)).await;
    page.has_value("textbox", "Width", "640").await;
    page.goto(&format!("/workers/{}", stage.worker_id())).await;
    page.find("heading", stage.worker_id()).await;
    page.goto("/workers").await;
    let worker = page.find("region", stage.worker_id()).await;
    page.find_in(&worker, "list", "Slots").await;
    page.goto(&format!("/wire?worker={}&operation=result", stage.worker_id())).await;
    page.has_value("combobox", "Operation", "result").await;
    page.click("button", "result").await;
    page.find("region", "Request").await;
    page.find("region", "Response").await;
    page.arrives("the exchange is in the address", |path| path.contains("n=")).await;
    page.goto(&page.path().await).await;
    page.find("region", "Request").await;
    page.goto("/nowhere").await;
    stage.reaches(&furniture.running, TaskStatus::Running).await;
    // The server answers an unknown address with 404, which the browser notes.
    page.end_with(&["404"]).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_said_and_stays() {
    let stage = Stage::start().await;
    let job = stage.submit("transcode_video", &json!({}));
    stage.reaches(&job, TaskStatus::Running).await;
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    page.find("button", "Cancel").await;
    page.click("button", "Pause updates").await;
    page.status("Paused").await;
    stage.permit(stage.steps());
    stage.reaches(&job, TaskStatus::Finished).await;
    // The page does not know yet that the task has ended.
    page.click("button", "Cancel").await;
    let alert = page.find_any("alert").await;
    let said = alert.text().await.expect("it has a text");
    assert!(said.contains("Cancel") && said.contains("finished"), "{said}");
    page.click("link", "Tasks").await;
    page.find("heading", "Tasks").await;
    page.click("button", "Dismiss").await;
    page.gone("button", "Dismiss").await;
    page.end_with(&["409"]).await;
    stage.end().await;
}
