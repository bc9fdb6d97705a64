//! Files that a handler returns, which are uploaded.

use avtomatika_worker::prelude::*;
use e2e::StorageKind;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{Fault, Rule};

use super::site::{Site, failed, pattern};

with_both_stores!(
    files_and_directories_become_objects,
    an_upload_that_fails_at_first_is_tried_again,
    an_upload_that_fails_leaves_no_parts_behind,
);

const LARGE: usize = (20 << 20) + 3;

#[derive(Deserialize)]
struct Size {
    bytes: usize,
}

async fn make(Params(size): Params<Size>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let path = files.write("made.bin", pattern(size.bytes, 7)).await?;
    Ok(Json(json!({ "file": path })))
}

async fn make_many(files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let one = files.write("one.txt", "one").await?;
    files.write("out/a.txt", "a").await?;
    files.write("out/deep/ü ж.txt", "b").await?;
    files.write("out/empty", "").await?;
    let out = files.path_to("out").await?;
    let elsewhere =
        one.parent().and_then(|own| own.parent()).expect("the directory of all").join("another/x");
    Ok(Json(json!({
        "deep": { "list": [one, "plain text", "/etc/passwd"] },
        "dir": out,
        "missing": out.join("never"),
        "elsewhere": elsewhere,
    })))
}

fn files_and_directories_become_objects(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge_with(&[], |builder| builder.task("make_many", make_many).task("make", make), async |desk| {
        let result = desk.result("make_many", json!({})).await;
        let id = result["task_id"].as_str().expect("an id").to_owned();
        let data = &result["data"];
        assert_eq!(data["deep"]["list"], json!([desk.uri(&format!("{id}/one.txt")), "plain text", "/etc/passwd"]), "{result}");
        assert_eq!(data["dir"], desk.uri(&format!("{id}/out/")), "{result}");
        assert!(data["missing"].as_str().is_some_and(|path| path.ends_with("/out/never")), "{result}");
        assert!(data["elsewhere"].as_str().is_some_and(|path| path.ends_with("/another/x")), "{result}");
        for (key, content) in [("one.txt", "one"), ("out/a.txt", "a"), ("out/deep/ü ж.txt", "b"), ("out/empty", "")] {
            let got = desk.get(&format!("{id}/{key}")).await;
            assert_eq!(got.as_deref(), Some(content.as_bytes()), "{key}");
        }
        let metadata = &result["data_metadata"];
        // The MD5 of `one`.
        let wanted = json!({ "uri": data["deep"]["list"][0], "size": 3, "etag": "f97c5d29941bfb1b2fdab0874906ab82" });
        assert_eq!(metadata["deep.list[0]"], wanted, "{result}");
        assert_eq!((&metadata["dir"]["uri"], &metadata["dir"]["size"]), (&data["dir"], &json!(2)), "{result}");

        let result = desk.result("make", json!({ "bytes": LARGE })).await;
        let key = format!("{}/made.bin", result["task_id"].as_str().expect("an id"));
        assert_eq!(result["data"]["file"], desk.uri(&key), "{result}");
        assert_eq!(desk.get(&key).await, Some(pattern(LARGE, 7)));
        assert_eq!(result["data_metadata"]["file"]["size"], LARGE, "{result}");
        assert!(desk.proxy.count("PUT", "partNumber") >= 3, "a large file is sent in parts");
    });
}

fn an_upload_that_fails_at_first_is_tried_again(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge_with(
        &[],
        |builder| builder.task("make", make),
        async |desk| {
            for (fault, bytes) in [
                (Fault::slow_down(), 1000),
                (Fault::CutRequest(500), 1000),
                (Fault::slow_down(), LARGE),
                (Fault::CutRequest(1 << 20), LARGE),
                (Fault::LoseAnswer, LARGE),
            ] {
                desk.proxy.clear();
                desk.add(Rule::new(fault.clone()).method("PUT").after(1).once());
                desk.add(Rule::new(fault.clone()).method("PUT").once());
                let faults = desk.proxy.faults();
                let result = desk.result("make", json!({ "bytes": bytes })).await;
                assert_eq!(result["status"], "success", "{fault:?}: {result}");
                let key = format!("{}/made.bin", result["task_id"].as_str().expect("an id"));
                assert_eq!(desk.get(&key).await, Some(pattern(bytes, 7)), "{fault:?}");
                assert!(desk.proxy.faults() > faults, "{fault:?} happened");
            }
        },
    );
}

fn an_upload_that_fails_leaves_no_parts_behind(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge_with(
        &[],
        |builder| builder.task("make", make),
        async |desk| {
            desk.add(Rule::new(Fault::access_denied()).method("PUT").containing("partNumber=2"));
            failed(&desk.result("make", json!({ "bytes": LARGE })).await, "PERMANENT_ERROR", "made.bin");
            desk.proxy.clear();
            desk.add(Rule::new(Fault::slow_down()).method("PUT").containing("partNumber=2"));
            failed(&desk.result("make", json!({ "bytes": LARGE })).await, "TRANSIENT_ERROR", "made.bin");
            desk.proxy.clear();
            desk.add(Rule::new(Fault::access_denied()).method("PUT"));
            failed(&desk.result("make", json!({ "bytes": 10 })).await, "PERMANENT_ERROR", "made.bin");
            desk.proxy.clear();
        },
    );
    assert_eq!(site.storage.keys(""), [] as [&str; 0], "nothing was uploaded in the end");
}
