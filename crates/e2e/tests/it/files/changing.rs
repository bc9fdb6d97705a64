//! Objects that change while they are read.

use e2e::StorageKind;
use serde_json::json;
use testkit::{Fault, Rule};

use super::site::{Desk, Site, failed, file, pattern};

with_both_stores!(
    an_object_that_changes_between_its_parts_is_noticed,
    a_part_of_another_version_is_noticed_even_if_the_storage_does_not_check,
);

const LENGTH: usize = 20 << 20;

/// Runs a task whose object is replaced before its last part is read, and returns the result.
async fn replace_meanwhile(desk: &Desk, metadata: Option<serde_json::Value>) -> serde_json::Value {
    desk.proxy.clear();
    desk.put("large", pattern(LENGTH, 1)).await;
    let before = desk.proxy.faults();
    desk.add(Rule::new(Fault::Hold).method("GET").containing("/large").containing("bytes=16777216-").once());
    let mut task = testkit::task("look", json!({ "in": desk.uri("large") }));
    if let Some(metadata) = metadata {
        task["params_metadata"] = json!({ "in": metadata });
    }
    let replacing = async {
        desk.proxy.wait_for_faults(before + 1).await;
        desk.put("large", pattern(LENGTH, 2)).await;
        desk.proxy.release();
    };
    let (result, ()) = tokio::join!(desk.result_of(task), replacing);
    result
}

fn an_object_that_changes_between_its_parts_is_noticed(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        // Without metadata either version is accepted, as long as all parts are of the same one.
        let result = replace_meanwhile(desk, None).await;
        assert_eq!(result["data"]["seen"]["in"], file("large", &pattern(LENGTH, 2)), "{result}");
        // With the metadata of the old version the task fails.
        let result = replace_meanwhile(desk, Some(json!({ "uri": desk.uri("large"), "size": LENGTH }))).await;
        failed(&result, "INTEGRITY_MISMATCH_ERROR", &desk.uri("large"));
    });
}

fn a_part_of_another_version_is_noticed_even_if_the_storage_does_not_check(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        desk.put("large", pattern(LENGTH, 1)).await;
        // Not every storage obeys `If-Match`.
        let another = Fault::Header("etag", Some("\"another\"".to_owned()));
        desk.add(Rule::new(another).method("GET").containing("/large").containing("bytes=16777216-"));
        desk.refused(json!({ "in": desk.uri("large") }), "INTEGRITY_MISMATCH_ERROR", "changed").await;
    });
}
