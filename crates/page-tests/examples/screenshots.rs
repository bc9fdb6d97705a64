//! Takes the pictures in the documentation, into `docs/images`. With a directory as its argument it writes them there, with
//! what the documentation does not show: `cargo run --package page-tests --example screenshots [DIRECTORY]`.

use std::env;
use std::path::{Path, PathBuf};

use page_tests::{NARROW, Page, Stage, WIDE, drawn, furnish, hits, pictures};
use serde_json::json;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let wanted = env::args_os().nth(1);
    let is_for_documentation = wanted.is_none();
    let images = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    let directory = wanted.map_or_else(images, PathBuf::from);
    let mut stage = Stage::alone().await;
    let page = Page::open(&stage.url(), "/").await;
    if !is_for_documentation {
        take(&page, &directory, "empty", "/").await;
        take(&page, &directory, "empty-tasks", "/tasks").await;
        take(&page, &directory, "empty-workers", "/workers").await;
        take(&page, &directory, "empty-wire", "/wire").await;
    }
    stage.begin_work().await;
    let furniture = furnish(&stage).await;
    work_for_a_while(&stage).await;
    judge_a_fault(&page).await;
    for (name, path) in [
        ("overview", "/".to_owned()),
        ("task", format!("/tasks/{}", furniture.finished)),
        ("workers", "/workers".to_owned()),
        ("wire", format!("/wire?worker={}", stage.worker_id())),
        ("faults", "/faults".to_owned()),
        ("new-task", format!("/new?type=resize_image&of={}", furniture.finished)),
    ] {
        take(&page, &directory, name, &path).await;
    }
    if !is_for_documentation {
        take(&page, &directory, "tasks", "/tasks").await;
        take(&page, &directory, "failed", &format!("/tasks/{}", furniture.failed)).await;
        take(&page, &directory, "running", &format!("/tasks/{}", furniture.running)).await;
        take(&page, &directory, "worker", &format!("/workers/{}", stage.worker_id())).await;
        page.look(WIDE, false).await;
        page.goto("/wire?operation=result").await;
        page.click("button", "result").await;
        let exchange = page.arrives("the exchange is in the address", |path| path.contains("n=")).await;
        take(&page, &directory, "exchange", &exchange).await;
        take(&page, &directory, "missing", "/tasks/job-0").await;
        for number in 0..10_000 {
            stage.submit("archive", &json!({ "number": number }));
        }
        take(&page, &directory, "many", "/tasks").await;
        take(&page, &directory, "many-overview", "/").await;
    }
    page.leave().await;
    stage.end().await;
}

/// Lets tasks end for a while, so that the charts have something to show.
async fn work_for_a_while(stage: &Stage) {
    for second in 0..40_u32 {
        for number in 0..12 + (second * 5) % 17 {
            stage.submit("echo", &json!({ "number": number }));
        }
        if second % 8 == 0 {
            stage.permit(1);
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

/// Switches a fault on and off again.
async fn judge_a_fault(page: &Page) {
    page.goto("/faults").await;
    page.click("switch", "refuse").await;
    hits(page, "refuse").await;
    // So long is it on, in the verdict.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    page.click("switch", "refuse").await;
    page.find("region", "Verdict of refuse").await;
}

/// Takes four pictures of a view: wide and narrow, light and dark.
async fn take(page: &Page, directory: &Path, name: &str, path: &str) {
    for (size, suffix) in [(WIDE, ""), (NARROW, "-narrow")] {
        page.look(size, false).await;
        page.goto(path).await;
        drawn(page).await;
        for (is_dark, colours) in [(false, "light"), (true, "dark")] {
            page.look(size, is_dark).await;
            drawn(page).await;
            let file = directory.join(format!("{name}{suffix}-{colours}.png"));
            pictures::write(&page.picture().await, &file);
        }
    }
}
