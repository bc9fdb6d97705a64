//! New tasks: the form from a schema, JSON as text, and what is wrong with either.

use avtomatika_dev::TaskStatus;
use page_tests::{Key, Page, Stage, pictures, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_submitted_from_the_form_of_its_schema() {
    let stage = Stage::start().await;
    let page = Page::open(&stage.url(), "/").await;
    page.click("button", "New task").await;
    page.fill("combobox", "Type", "resize_image").await;
    let width = page.find("textbox", "Width").await;
    assert!(page.text_by(&width, "aria-describedby").await.contains("The width of the result in pixels."));
    page.fill("textbox", "Width", "640").await;
    // More digits than a float has.
    page.fill("textbox", "Seed", "9007199254740993").await;
    page.pick("Format", "webp").await;
    page.click("button", "Submit").await;
    let path = page.arrives("the task's page", |path| path.starts_with("/tasks/")).await;
    let job = path.trim_start_matches("/tasks/").to_owned();
    page.find("heading", &format!("resize_image {job}")).await;
    let task = stage.reaches(&job, TaskStatus::Finished).await;
    let params = task.params.expect("they are kept");
    assert!(params.get().contains("9007199254740993"), "{params}");
    assert!(params.get().contains("\"webp\""), "{params}");
    assert!(!params.get().contains("sharpen"), "an optional field that is empty is not sent: {params}");
    page.reads("region", "Data", &["640"]).await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_input_is_said_beside_its_field() {
    let stage = Stage::start().await;
    let page = Page::open(&stage.url(), "/new?type=resize_image").await;
    page.fill("textbox", "Width", "0").await;
    page.fill("textbox", "Seed", "many").await;
    page.click("button", "Submit").await;
    page.has("textbox", "Width", "aria-invalid", "true").await;
    page.has("textbox", "Seed", "aria-invalid", "true").await;
    let width = page.find("textbox", "Width").await;
    assert!(page.text_by(&width, "aria-errormessage").await.contains('1'));
    assert_eq!(page.focused().await, "Width", "the focus is on the first field with a problem");
    assert!(stage.orchestrator().tasks(10).is_empty(), "nothing was sent");

    // JSON that cannot be read has a place; JSON that does not fit can be sent on purpose.
    page.click("tab", "JSON").await;
    let params = page.find("textbox", "Params").await;
    page.fill("textbox", "Params", "{\"width\": 640,\n \"format\" 5}").await;
    page.press(Key::Tab + "").await;
    page.has("textbox", "Params", "aria-invalid", "true").await;
    assert!(page.text_by(&params, "aria-errormessage").await.contains("line 2"));
    page.fill("textbox", "Params", "{\"width\": \"wide\", \"more\": 1}").await;
    page.click("button", "Submit anyway").await;
    let task =
        stage.submitted("the task that does not fit", |task| task.name.as_str() == "resize_image").await;
    assert_eq!(task.params.expect("they are kept").get(), "{\"width\": \"wide\", \"more\": 1}");
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_survives_updates_tabs_and_other_views() {
    let stage = Stage::start().await;
    let page = Page::open(&stage.url(), "/new?type=resize_image").await;
    page.click("tab", "JSON").await;
    page.fill("textbox", "Params", "{\"width\": 18446744073709551616, \"unknown\": [1.10]}").await;
    page.click("tab", "Form").await;
    page.has_value("textbox", "Width", "18446744073709551616").await;
    // A worker that registers anew tells its skills again.
    stage.submit("echo", &serde_json::json!({ "a": 1 }));
    stage.submitted("the other task", |task| task.status == TaskStatus::Finished).await;
    page.click("link", "Workers").await;
    page.find("region", stage.worker_id()).await;
    page.back().await;
    page.click("tab", "JSON").await;
    let text = "{\"width\": 18446744073709551616, \"unknown\": [1.10]}";
    page.has_value("textbox", "Params", text).await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_dropped_on_the_form_is_stored() {
    let stage = Stage::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("dropped.png");
    std::fs::write(&file, pictures::gradient(64, 32)).expect("written");
    let page = Page::open(&stage.url(), "/new?type=resize_image").await;
    page.fill("textbox", "Image", "").await;
    page.drop_file(&file, "textbox", "Width").await;
    let address = until("the address is in the field", async || {
        let address = page.sees("textbox", "Image").await?.prop("value").await.ok()??;
        address.ends_with("/dropped.png").then_some(address)
    })
    .await;
    let storage = stage.orchestrator().storage().expect("it has one");
    let key =
        address.strip_prefix(&format!("s3://{}/", storage.bucket())).expect("it is in the default bucket");
    assert_eq!(storage.get(storage.bucket(), key).await.expect("it is there"), pictures::gradient(64, 32));
    page.arrives("the page is still there", |path| path == "/new?type=resize_image").await;
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_stored_and_its_address_goes_to_where_the_cursor_is() {
    let stage = Stage::start().await;
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("harbour photo.png");
    std::fs::write(&file, pictures::gradient(64, 32)).expect("written");
    let page = Page::open(&stage.url(), "/new?type=resize_image").await;
    page.fill("textbox", "Width", "64").await;
    page.fill("textbox", "Image", "").await;
    page.add_file(&file).await;
    let address = until("the address is in the field", async || {
        let address = page.sees("textbox", "Image").await?.prop("value").await.ok()??;
        address.ends_with("/harbour photo.png").then_some(address)
    })
    .await;
    let storage = stage.orchestrator().storage().expect("it has one");
    let prefix = format!("s3://{}/", storage.bucket());
    let key = address.strip_prefix(&prefix).expect("it is in the default bucket");
    assert!(key.starts_with("page/"), "{key}");
    let stored = storage.get(storage.bucket(), key).await.expect("it is there");
    assert_eq!(stored, pictures::gradient(64, 32));
    page.click("button", "Submit").await;
    let path = page.arrives("the task's page", |path| path.starts_with("/tasks/")).await;
    stage.reaches(path.trim_start_matches("/tasks/"), TaskStatus::Finished).await;
    page.find("img", "harbour photo.png").await;
    page.end().await;
    stage.end().await;
}
