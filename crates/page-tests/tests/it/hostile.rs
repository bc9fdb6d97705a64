//! Payloads that want to be more than text.

use avtomatika_dev::TaskStatus;
use page_tests::{Page, Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_payloads_are_shown_as_text_and_exactly() {
    let stage = Stage::start().await;
    let long = "x".repeat(1024 * 1024);
    let params = "{\"<script>window.taken = 1</script>\": \"</script><img src=x onerror='window.taken = 2'>\",\
         \"mark\": \"abc\\u202edef\", \"raw\": \"\u{202e}gnp.exe\", \"whole\": 9223372036854775808, \
         \"rate\": 1.10, \"twice\": 1, \"twice\": 2, \"__proto__\": {\"taken\": 3}}";
    let job = stage.submit_text("echo", params);
    stage.reaches(&job, TaskStatus::Finished).await;
    let page = Page::open(&stage.url(), &format!("/tasks/{job}")).await;
    for panel in ["Params", "Data"] {
        let text = page
            .reads("region", panel, &["<script>window.taken = 1</script>", "onerror='window.taken = 2'"])
            .await;
        for part in ["9223372036854775808", "1.10", "abc\\u202edef", "\\u202egnp.exe", "__proto__"] {
            assert!(text.contains(part), "{panel} has no {part}: {text}");
        }
        assert_eq!(text.matches("twice").count(), 2, "{panel}: {text}");
        assert!(!text.contains('\u{202e}'), "{panel} is drawn in another order than it is");
    }
    let taken = page.script("return [window.taken ?? null, ({}).taken ?? null];", vec![]).await;
    assert_eq!(taken, serde_json::json!([null, null]));
    // What is copied is what was sent; the browser keeps the clipboard closed to a page without focus.
    page.script("Object.defineProperty(navigator, 'clipboard', { value: undefined });", vec![]).await;
    page.click("button", "Copy params").await;
    page.find("dialog", "Copy").await;
    page.has_value("textbox", "Text to copy", params).await;
    page.press(page_tests::Key::Escape + "").await;
    page.gone("dialog", "Copy").await;

    let job = stage.submit_text("nobody_takes_this", &format!("{{\"long\":\"{long}\",\"after\":1}}"));
    page.goto(&format!("/tasks/{job}")).await;
    page.reads("region", "Params", &["first 256 KiB of 1"]).await;
    page.find("link", "Download params").await;
    let drawn = "return document.querySelector('main').textContent.length;";
    until("the long text is cut", async || {
        (page.script(drawn, vec![]).await.as_u64()? < 100_000).then_some(())
    })
    .await;
    page.goto("/tasks").await;
    page.find("link", &job).await;
    page.end().await;
    stage.end().await;
}
