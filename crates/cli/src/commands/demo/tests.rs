//! The demo with a file that is not a picture.

use serde_json::json;

use super::*;

#[test]
fn a_task_that_fails_is_named_with_its_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let demo = Demo { output: Some(directory.path().join("new")), width: 40, keep: true, verbose: false };
    let broken = Picture { name: "broken.jpg", size: (1, 1), bytes: b"this is not a picture" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = configuration(false).expect("the defaults");

    let failure = runtime
        .block_on(play(&demo, &[PICTURES[2], broken], config, &Printer::plain()))
        .expect_err("one file is not a picture");

    let text = format!("{failure:?}");
    assert!(text.contains("1 of 2 tasks failed: broken.jpg: INVALID_INPUT_ERROR"), "{text}");
    assert!(text.contains("neither a PNG nor a JPEG"), "{text}");
    assert!(directory.path().join("new/pattern-40.png").is_file(), "the other one is there");
}

#[test]
fn a_result_is_one_line() {
    let delivery =
        json!({ "picture": "s3://b/t/landscape-400.jpg", "width": 400, "height": 300, "bytes": 12_595 });
    let delivery: Delivery = serde_json::from_value(delivery).expect("a delivery");
    assert_eq!(delivery.name(), "landscape-400.jpg");
    assert_eq!(
        result_line(&PICTURES[0], &delivery, Path::new("/tmp/x/landscape-400.jpg"), 14),
        "landscape.jpg   1600x1200 -> 400x300    12.3 KiB  /tmp/x/landscape-400.jpg"
    );
}
