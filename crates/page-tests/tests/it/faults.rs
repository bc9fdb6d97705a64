//! Faults: switched on and off, with a verdict.

use avtomatika_dev::TaskStatus;
use page_tests::{Page, Stage};
use serde_json::json;

/// Waits until a fault that is on has hit a request.
pub(crate) async fn hits(page: &Page, fault: &str) {
    let hits = |text: &str| -> Option<u64> {
        let before = text.split(" hit").next()?.trim_end_matches(['s']).strip_suffix(" request")?;
        before.rsplit([' ', '\n']).next()?.replace(',', "").parse().ok()
    };
    page.reads_what_fits("a request hit", "group", fault, |text| hits(text).is_some_and(|hits| hits > 0))
        .await;
}

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
