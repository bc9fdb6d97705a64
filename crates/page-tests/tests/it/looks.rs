//! Dark, narrow, and for those who do not see it.

use page_tests::{NARROW, Page, Stage, WIDE, axe, drawn, furnish};
use serde_json::{Value, json};

/// The paths of the views that need no id.
const PATHS: [&str; 6] = ["/", "/tasks", "/new", "/workers", "/wire", "/faults"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_view_has_serious_findings_in_either_colours() {
    let stage = Stage::start().await;
    let furniture = furnish(&stage).await;
    let page = Page::open(&stage.url(), "/").await;
    let tasks =
        [&furniture.finished, &furniture.failed, &furniture.running].map(|job| format!("/tasks/{job}"));
    let more = [
        format!("/new?type=resize_image&of={}", furniture.finished),
        format!("/workers/{}", stage.worker_id()),
        "/wire?operation=result".to_owned(),
    ];
    let paths = PATHS.into_iter().map(str::to_owned).chain(tasks).chain(more);
    let mut wrong = Vec::new();
    for path in paths {
        page.look(WIDE, false).await;
        page.goto(&path).await;
        drawn(&page).await;
        for is_dark in [false, true] {
            page.look(WIDE, is_dark).await;
            let colours = if is_dark { "dark" } else { "light" };
            let found = axe::findings(&page).await;
            wrong.extend(found.into_iter().map(|finding| format!("{path} ({colours}): {finding}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialogs_have_no_serious_findings() {
    let stage = Stage::alone().await;
    stage.submit("archive", &json!({}));
    let page = Page::open(&stage.url(), "/tasks").await;
    for is_dark in [false, true] {
        page.look(WIDE, is_dark).await;
        page.goto("/tasks").await;
        drawn(&page).await;
        page.press("?").await;
        page.find("dialog", "Shortcuts").await;
        assert_eq!(axe::findings(&page).await, Vec::<String>::new());
        page.goto("/tasks").await;
        page.click("checkbox", "Choose all").await;
        page.click("button", "Cancel").await;
        page.find("dialog", "Cancel 1 task?").await;
        assert_eq!(axe::findings(&page).await, Vec::<String>::new());
    }
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_dark_where_dark_is_wanted() {
    let stage = Stage::alone().await;
    let page = Page::open(&stage.url(), "/").await;
    drawn(&page).await;
    let background = "const [, red, green, blue] = /(\\d+), (\\d+), (\\d+)/.exec(getComputedStyle(document.documentElement)
        .backgroundColor); return (Number(red) + Number(green) + Number(blue)) / 3;";
    let lightness = async || page.script(background, vec![]).await.as_f64().expect("a colour");
    assert!(lightness().await > 240.0);
    page.look(WIDE, true).await;
    assert!(lightness().await < 30.0);
    page.end().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_390_pixels_the_document_does_not_scroll_sideways() {
    let stage = Stage::start().await;
    let furniture = furnish(&stage).await;
    let page = Page::open(&stage.url(), "/").await;
    page.look(NARROW, false).await;
    let task = format!("/tasks/{}", furniture.failed);
    let worker = format!("/workers/{}", stage.worker_id());
    let form = "/new?type=resize_image";
    for path in PATHS.into_iter().chain([task.as_str(), worker.as_str(), form, "/wire?operation=result"]) {
        page.goto(path).await;
        drawn(&page).await;
        let width = page.script("return document.documentElement.scrollWidth;", vec![]).await;
        assert_eq!(width, 390, "{path} is wider than the window");
        let small = page.script(SMALL_TARGETS, vec![]).await;
        assert_eq!(small, Value::Array(Vec::new()), "{path}: targets below 24 pixels");
        let navigation = page.find("navigation", "Main").await;
        page.find_in(&navigation, "link", "Faults").await;
    }
    page.end().await;
    stage.end().await;
}

/// Buttons, fields and links of their own that are smaller than 24 pixels. Links within a sentence are exempt.
const SMALL_TARGETS: &str = "
    const small = [];
    for (const element of document.querySelectorAll('button, select, input, textarea, a[href], summary, [role=switch]')) {
      if (element.closest('.visually-hidden, .skip') || element.matches('.visually-hidden, .skip, p a, span a')) continue;
      const target = element.matches('input[type=checkbox]') ? element.closest('label, td, th') ?? element : element;
      const { width, height } = target.getBoundingClientRect();
      if (width > 0 && height > 0 && (width < 24 || height < 24)) {
        small.push(`${element.outerHTML.slice(0, 120)} ${width}x${height}`);
      }
    }
    return small;";
