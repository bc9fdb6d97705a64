//! Names that lead outside of the task's directory, and names that cannot be used.

use avtomatika_worker::prelude::*;
use e2e::StorageKind;
use serde_json::{Value, json};

use super::site::{SECRET, Site, failed, file};

with_both_stores!(
    addresses_with_strange_keys_fail_before_anything_is_read,
    strange_keys_below_a_prefix_fail_before_a_handler_runs,
    a_key_that_is_a_directory_of_another_key_fails,
    long_and_foreign_names_are_accepted_if_the_disk_accepts_them,
);

fn addresses_with_strange_keys_fail_before_anything_is_read(kind: StorageKind) {
    let site = Site::new(kind);
    let elsewhere = site.secret().display().to_string();
    site.judge(async |desk| {
        desk.put("a", "here").await;
        for key in ["../a", "..", "x/../../a", "x/..", &format!("/{elsewhere}"), "a\0b", "./a", "x//a"] {
            let result = desk.refused(json!({ "in": desk.uri(key) }), "PERMANENT_ERROR", "").await;
            let is_escape = key.contains("..") || key.contains('\0');
            if is_escape {
                assert_eq!(result["error"]["details"]["type"], "security", "{key:?}: {result}");
            }
        }
        assert_eq!(desk.proxy.passed().len(), 0, "{:#?}", desk.proxy.passed());
    });
}

fn strange_keys_below_a_prefix_fail_before_a_handler_runs(kind: StorageKind) {
    let site = Site::new(kind);
    let elsewhere = site.secret().display().to_string();
    site.judge(async |desk| {
        let keys = ["../../evil", "..", "x/../../../evil", &elsewhere, "nul\0nul", "x//y"];
        for (number, key) in keys.iter().enumerate() {
            let prefix = format!("set-{number}");
            desk.put(&format!("{prefix}/fine"), "fine").await;
            desk.put(&format!("{prefix}/{key}"), "evil").await;
            desk.refused(json!({ "in": desk.uri(&format!("{prefix}/")) }), "PERMANENT_ERROR", &prefix).await;
        }
    });
}

fn a_key_that_is_a_directory_of_another_key_fails(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        desk.put("set/both", "a file").await;
        desk.put("set/both/one", "in a directory").await;
        desk.refused(json!({ "in": desk.uri("set/") }), "PERMANENT_ERROR", "both").await;
        // Each of the two can be read alone.
        let params = json!({ "file": desk.uri("set/both"), "dir": desk.uri("set/both/") });
        let result = desk.result("look", params).await;
        assert_eq!(result["status"], "success", "{result}");
        assert_eq!(
            result["data"]["seen"]["dir"],
            json!({ "one": file("one", b"in a directory") }),
            "{result}"
        );
    });
}

fn long_and_foreign_names_are_accepted_if_the_disk_accepts_them(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        let long = "x".repeat(300);
        desk.put(&long, "long").await;
        desk.put(&format!("deep/{}/{}", "y".repeat(200), "z".repeat(200)), "deep").await;
        desk.put("ключ/鍵 ключа.txt", "foreign").await;
        desk.refused(json!({ "in": desk.uri(&long) }), "PERMANENT_ERROR", "xxx").await;
        let params = json!({ "foreign": desk.uri("ключ/鍵 ключа.txt"), "deep": desk.uri("deep/") });
        let result = desk.result("look", params).await;
        assert_eq!(result["data"]["seen"]["foreign"], file("鍵 ключа.txt", b"foreign"), "{result}");
        assert_eq!(result["data"]["seen"]["deep"].as_object().map(serde_json::Map::len), Some(1), "{result}");
    });
}

/// A handler that reads or writes the file `name` through the task's files.
async fn touch(Params(params): Params<Value>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let name = params["name"].as_str().expect("a name");
    // The parameter has no scheme: otherwise the worker would replace it by a file before the handler runs.
    let object = format!("s3://{}", params["object"].as_str().expect("an object"));
    match params["how"].as_str() {
        Some("write") => drop(files.write(name, "evil").await?),
        Some("path_to") => drop(files.path_to(name).await?),
        Some("exists") => drop(files.exists(name).await?),
        Some("upload") => drop(files.upload_file(name).await?),
        Some("download") => drop(files.download_file(&object, name).await?),
        _ => return Ok(Json(json!({ "read": files.read_text(name).await? }))),
    }
    Ok(Json(json!({})))
}

#[test]
fn a_handler_cannot_leave_its_directory() {
    let site = Site::new(StorageKind::Local);
    let secret = site.secret().display().to_string();
    site.storage.put("a", "here");
    site.judge_with(
        &[],
        |builder| builder.task("touch", touch),
        async |desk| {
            for name in
                ["..", "../x", "x/../../x", &secret, "/etc/passwd", "nul\0nul", "../../neighbours/secret.txt"]
            {
                for how in ["read", "write", "path_to", "exists", "upload", "download"] {
                    let params = json!({ "name": name, "how": how, "object": "avtomatika-payloads/a" });
                    let result = desk.result("touch", params).await;
                    failed(&result, "PERMANENT_ERROR", "");
                    assert_eq!(result["error"]["details"]["type"], "security", "{how} {name:?}: {result}");
                }
            }
        },
    );
    assert_eq!(std::fs::read_to_string(site.secret()).expect("it is there"), SECRET);
}

#[test]
fn strange_task_ids_have_directories_of_their_own() {
    let site = Site::new(StorageKind::Local);
    site.storage.put("a", "here");
    site.judge(async |desk| {
        for id in ["..", "../neighbours", "/etc", "a/b", "ü", "nul\0", &"x".repeat(400), "."] {
            let mut task = testkit::task("look", json!({ "in": desk.uri("a") }));
            task["task_id"] = json!(id);
            let result = desk.result_of(task).await;
            assert_eq!(result["data"]["seen"]["in"], file("a", b"here"), "{id:?}: {result}");
        }
    });
}
