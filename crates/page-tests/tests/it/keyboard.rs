//! The page without a pointer.

use avtomatika_dev::TaskStatus;
use page_tests::{Key, Page, Stage, until};
use serde_json::json;

/// Presses Tab until the element with this name has the focus.
async fn tab_to(page: &Page, name: &str) {
    walk_to(page, name, async || page.press(Key::Tab + "").await).await;
}

/// The same in the other direction.
async fn tab_back_to(page: &Page, name: &str) {
    walk_to(page, name, async || page.press_tab_back().await).await;
}

async fn walk_to(page: &Page, name: &str, step: impl AsyncFn()) {
    let mut seen = Vec::new();
    for _ in 0..80 {
        step().await;
        let focused = page.focused().await;
        if focused == name {
            return;
        }
        seen.push(focused);
    }
    panic!("Tab does not reach `{name}`, but {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_made_found_and_cancelled_with_keys_alone() {
    let stage = Stage::start().await;
    let page = Page::open(&stage.url(), "/").await;
    page.is_live().await;
    page.press("n").await;
    page.arrives("the form", |path| path == "/new").await;
    page.find("combobox", "Type").await;
    tab_to(&page, "Type").await;
    // Letters that are shortcuts elsewhere are text here.
    page.press("transcode_video").await;
    tab_to(&page, "Submit").await;
    page.press(Key::Enter + "").await;
    let path = page.arrives("the task", |path| path.starts_with("/tasks/")).await;
    let job = path.trim_start_matches("/tasks/").to_owned();
    stage.reaches(&job, TaskStatus::Running).await;
    // Another one, which the search leaves out.
    stage.submit("archive", &json!({}));

    page.press("g").await;
    page.press("t").await;
    page.arrives("the list", |path| path == "/tasks").await;
    page.find("searchbox", "Search tasks").await;
    page.press("/").await;
    assert_eq!(page.focused().await, "Search tasks");
    page.press(job.as_str()).await;
    page.has("table", "Tasks", "aria-rowcount", "1").await;
    tab_to(&page, &format!("Choose {job}")).await;
    page.press(" ").await;
    page.has_prop("checkbox", &format!("Choose {job}"), "checked", "true").await;
    tab_back_to(&page, "Cancel").await;
    page.press(Key::Enter + "").await;
    page.find("dialog", "Cancel 1 task?").await;
    tab_to(&page, "Cancel 1 task").await;
    page.press(Key::Enter + "").await;
    page.gone("dialog", "Cancel 1 task?").await;
    stage.reaches(&job, TaskStatus::Cancelled).await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shortcuts_are_listed_and_lead_to_the_views() {
    let stage = Stage::alone().await;
    stage.submit("archive", &json!({}));
    let page = Page::open(&stage.url(), "/").await;
    page.is_live().await;
    page.press("?").await;
    page.find("dialog", "Shortcuts").await;
    page.press(Key::Escape + "").await;
    page.gone("dialog", "Shortcuts").await;
    for (key, path) in [("t", "/tasks"), ("w", "/workers"), ("i", "/wire"), ("f", "/faults"), ("o", "/")] {
        page.press(format!("g{key}").as_str()).await;
        page.arrives(path, |found| found == path).await;
    }
    page.press("p").await;
    page.status("Paused").await;
    page.press("p").await;
    page.is_live().await;
    // The focus can be seen.
    page.press(Key::Tab + "").await;
    until("the focus is drawn", async || {
        let style = "return getComputedStyle(document.activeElement).outlineStyle;";
        (page.script(style, vec![]).await != "none").then_some(())
    })
    .await;
    page.end().await;
    stage.end().await;
}
