//! Transfers without faults.

use e2e::StorageKind;
use serde_json::json;

use super::site::{Site, file, pattern};

with_both_stores!(
    any_size_arrives_whole,
    a_prefix_becomes_a_directory,
    a_prefix_without_objects_is_an_empty_directory,
    no_more_than_eight_transfers_are_under_way,
    an_object_that_is_used_again_comes_from_the_cache,
);

fn any_size_arrives_whole(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        let sizes = [0, 1, 1000, (1 << 20) + 1, 8 << 20, (20 << 20) + 7];
        let mut wanted = Vec::new();
        for size in sizes {
            let bytes = pattern(size, 1);
            wanted.push(file(&format!("{size}.bin"), &bytes));
            desk.put(&format!("size/{size}.bin"), bytes).await;
        }
        let uris = sizes.map(|size| desk.uri(&format!("size/{size}.bin")));
        let result = desk.result("look", json!({ "deep": [{ "files": uris }], "text": "s3:// no" })).await;
        let wanted = json!({ "deep": [{ "files": wanted }], "text": "s3:// no" });
        assert_eq!(result["data"]["seen"], wanted, "{result}");
        assert!(desk.proxy.count("GET", "20971527.bin") >= 3, "a large object is read in parts");
    });
}

fn a_prefix_becomes_a_directory(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        // The last key is the marker of the directory itself, as S3 consoles create it.
        let keys = ["a.txt", "A.txt", "deep/er/b.txt", "ünï/ж 鍵.txt", "with%20percent", "marker/", ""];
        for key in keys {
            let content = if key.ends_with('/') { "" } else { key };
            desk.put(&format!("set/{key}"), content).await;
        }
        desk.put("set-aside/c", "no").await;
        let result = desk.result("look", json!({ "all": desk.uri("set/") })).await;
        // Names that differ only in case are two files, if the file system distinguishes them.
        let wanted = json!({
            "A.txt": file("A.txt", b"A.txt"),
            "a.txt": file("a.txt", b"a.txt"),
            "deep/er/b.txt": file("b.txt", b"deep/er/b.txt"),
            "ünï/ж 鍵.txt": file("ж 鍵.txt", "ünï/ж 鍵.txt".as_bytes()),
            "with%20percent": file("with%20percent", b"with%20percent"),
        });
        assert_eq!(result["data"]["seen"]["all"], wanted, "{result}");
    });
}

fn a_prefix_without_objects_is_an_empty_directory(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        let result = desk.result("look", json!({ "all": desk.uri("nothing/here/") })).await;
        assert_eq!(result["data"]["seen"]["all"], json!({}), "{result}");
    });
}

fn no_more_than_eight_transfers_are_under_way(kind: StorageKind) {
    let site = Site::new(kind);
    for number in 0..30 {
        site.storage.put(&format!("many/{number}"), pattern(100_000, number));
    }
    let variables = [("MAX_CONCURRENT_TASKS", "10".to_owned())];
    site.judge_with(
        &variables,
        |builder| builder,
        async |desk| {
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    testkit::task("look", json!({ "all": desk.uri("many/"), "one": desk.uri("many/7") }))
                })
                .collect();
            for task in &tasks {
                desk.orchestrator.push_task(task);
            }
            for task in &tasks {
                let id = task["task_id"].as_str().expect("it has one");
                let result = desk.orchestrator.wait_for_result(id).await;
                assert_eq!(
                    result["data"]["seen"]["all"].as_object().map(serde_json::Map::len),
                    Some(30),
                    "{result}"
                );
            }
            let max = desk.proxy.most_at_once();
            assert!((2..=8 + 3).contains(&max), "{max} at once; listings do not count");
        },
    );
}

fn an_object_that_is_used_again_comes_from_the_cache(kind: StorageKind) {
    let site = Site::new(kind);
    let bytes = pattern(3 << 20, 1);
    site.storage.put("model.bin", bytes.clone());
    let cache = tempfile::tempdir().expect("a directory");
    let variables = [("WORKER_BLOB_CACHE_DIR", cache.path().display().to_string())];
    // A handler that overwrites its input, as no handler should. Other tasks must still get the original.
    let spoil = async |avtomatika_worker::prelude::Params(params): avtomatika_worker::prelude::Params<
        serde_json::Value,
    >| {
        let path = params["model"].as_str().expect("a path");
        // Whether or not this fails, the cache is unchanged.
        drop(std::fs::write(path, "spoilt"));
    };
    site.judge_with(
        &variables,
        |builder| builder.task("spoil", spoil),
        async |desk| {
            let params = json!({ "model": desk.uri("model.bin") });
            for task in ["look", "spoil", "look"] {
                let result = desk.result(task, params.clone()).await;
                assert_eq!(result["status"], "success", "{result}");
                if task == "look" {
                    assert_eq!(result["data"]["seen"]["model"], file("model.bin", &bytes), "{result}");
                }
            }
            let bytes_read: u64 = desk
                .proxy
                .passed()
                .iter()
                .filter(|passed| passed.method == "GET")
                .map(|passed| passed.received)
                .sum();
            assert_eq!(bytes_read, bytes.len() as u64, "the object was read once");
            let changed = pattern(3 << 20, 2);
            desk.put("model.bin", changed.clone()).await;
            let result = desk.result("look", params).await;
            assert_eq!(result["data"]["seen"]["model"], file("model.bin", &changed), "{result}");
        },
    );
}
