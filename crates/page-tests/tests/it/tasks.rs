//! One task: what it does, and what can be done with it.

use avtomatika_dev::TaskStatus;
use page_tests::{Page, Stage, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_moves_while_one_watches() {
    let stage = Stage::start().await;
    let job = stage.submit("transcode_video", &json!({ "video": "harbour.mp4" }));
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    let bar = format!("Progress of {job}");
    for step in [2, 5, 8] {
        stage.permit(if step == 2 { 2 } else { 3 });
        page.has("progressbar", &bar, "aria-valuenow", &(step * 10).to_string()).await;
    }
    page.goto("/").await;
    page.has("progressbar", &bar, "aria-valuenow", "80").await;
    stage.permit(2);
    page.gone("progressbar", &bar).await;
    page.find("link", "Finished 1").await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_task_is_cancelled() {
    let stage = Stage::start().await;
    let job = stage.submit("transcode_video", &json!({}));
    stage.reaches(&job, TaskStatus::Running).await;
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    let retry = page.find("button", "Retry").await;
    assert!(!retry.is_enabled().await.expect("a button"), "it has not ended");
    page.click("button", "Cancel").await;
    stage.reaches(&job, TaskStatus::Cancelled).await;
    until("only Retry is left", async || {
        let cancel = page.sees("button", "Cancel").await?.is_enabled().await.ok()?;
        let retry = page.sees("button", "Retry").await?.is_enabled().await.ok()?;
        (!cancel && retry).then_some(())
    })
    .await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_retried_and_run_again_with_other_params() {
    let stage = Stage::start().await;
    let job = stage.submit_text("echo", "{\"seed\": 9007199254740993, \"rate\": 1.50}");
    stage.reaches(&job, TaskStatus::Finished).await;
    let own = format!("/tasks/{job}");
    let page = Page::open(&stage.url(), &own).await;
    page.click("button", "Retry").await;
    let again = page.arrives("the new task", |path| path.starts_with("/tasks/") && path != own).await;
    let again = stage.reaches(again.trim_start_matches("/tasks/"), TaskStatus::Finished).await;
    assert_eq!(again.params.expect("kept").get(), "{\"seed\": 9007199254740993, \"rate\": 1.50}");

    page.goto(&own).await;
    page.click("button", "Edit and run again").await;
    page.has_value("textbox", "Params", "{\"seed\": 9007199254740993, \"rate\": 1.50}").await;
    page.fill("textbox", "Params", "{\"seed\": 9007199254740993, \"rate\": 2.50}").await;
    page.click("button", "Submit").await;
    let edited = page.arrives("the edited task", |path| path.starts_with("/tasks/") && path != own).await;
    let edited = stage.reaches(edited.trim_start_matches("/tasks/"), TaskStatus::Finished).await;
    assert_eq!(edited.data.expect("it returns them").get(), "{\"seed\": 9007199254740993, \"rate\": 2.50}");
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_shown() {
    let stage = Stage::start().await;
    let job = stage.submit("resize_image", &json!({ "width": 320 }));
    stage.reaches(&job, TaskStatus::Finished).await;
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    let picture = page.find("img", "preview.png").await;
    let width = "const [picture] = arguments; return picture.complete ? picture.naturalWidth : 0;";
    picture.scroll_into_view().await.expect("it is a part of the page");
    until("the picture is drawn", async || {
        (page.script(width, vec![picture.to_json().expect("an id")]).await == 320).then_some(())
    })
    .await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svg_and_html_are_shown_as_text_only() {
    let stage = Stage::start().await;
    let storage = stage.orchestrator().storage().expect("it has one");
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>document.title = 'taken'</script></svg>";
    storage.put(storage.bucket(), "drawing.svg", svg).await.expect("stored");
    storage.put(storage.bucket(), "site.html", "<b onclick=alert(1)>bold</b>").await.expect("stored");
    let files = ["drawing.svg", "site.html"].map(|key| format!("s3://{}/{key}", storage.bucket()));
    let job = stage.submit("nobody_takes_this", &json!({ "files": files }));
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    page.reads("region", "drawing.svg", &["<script>document.title"]).await;
    page.reads("region", "site.html", &["<b onclick=alert(1)>"]).await;
    let framed =
        page.script("return document.querySelectorAll('iframe, object, embed').length;", vec![]).await;
    assert_eq!(framed, 0);
    assert!(page.title().await.starts_with("nobody_takes_this"));
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_come_while_one_reads() {
    let stage = Stage::start().await;
    let job = stage.submit("transcode_video", &json!({}));
    stage.reaches(&job, TaskStatus::Running).await;
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    page.find("log", "Logs").await;
    for step in 1..=3 {
        stage.permit(1);
        page.reads("log", "Logs", &[&format!("part {step} of 10 is done")]).await;
    }
    page.end().await;
    stage.end().await;
}
