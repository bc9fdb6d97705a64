//! Faults: switched on and off, with a verdict.

use avtomatika_dev::TaskStatus;
use page_tests::{Page, Stage, hits};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_switched_on_and_off_and_judged() {
    let stage = Stage::start().await;
    let page = Page::open(&stage.url(), "/faults").await;
    let switch = page.find("switch", "error_5xx").await;
    assert!(!page.text_by(&switch, "aria-describedby").await.is_empty(), "a sentence says what it does");
    let group = page.find("group", "error_5xx").await;
    page.find_in(&group, "spinbutton", "Rate").await;
    page.find_in(&group, "spinbutton", "Seconds").await;
    page.find_in(&group, "combobox", "Worker").await;
    page.click("switch", "error_5xx").await;
    page.has("switch", "error_5xx", "aria-checked", "true").await;
    // On every view it is said that something is broken on purpose.
    page.click("link", "Overview").await;
    let main = page.find_any("main").await;
    page_tests::until("the banner names the fault", async || {
        main.text().await.ok()?.contains("A fault is on: error_5xx").then_some(())
    })
    .await;
    let job = stage.submit("echo", &json!({ "a": 1 }));
    page.click("link", "See what is on").await;
    page.arrives("the faults", |path| path == "/faults").await;
    hits(&page, "error_5xx").await;
    page.click("switch", "error_5xx").await;
    page.has("switch", "error_5xx", "aria-checked", "false").await;
    let verdict = page.reads("region", "Verdict of error_5xx", &["Recovered after", "Tasks lost"]).await;
    assert!(verdict.contains("Held"), "{verdict}");
    stage.reaches(&job, TaskStatus::Finished).await;
    page.click("link", "Overview").await;
    page.gone("link", "See what is on").await;
    page.end().await;
    stage.end().await;
}
