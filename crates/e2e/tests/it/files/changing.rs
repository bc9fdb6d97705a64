//! Objects that change while they are read.

use e2e::StorageKind;
use serde_json::json;
use testkit::{Fault, Rule};

use super::site::{Desk, Site, failed, file, pattern};

with_both_stores!(
    an_object_that_changes_between_its_parts_is_noticed,
    a_part_of_another_version_is_noticed_whatever_the_storage_thinks,
);

const LENGTH: usize = 20 << 20;

/// Has the last part of the object come late, and replaces the object before it does.
async fn replaced_meanwhile(desk: &Desk, metadata: Option<serde_json::Value>) -> serde_json::Value {
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
        // Nobody said which one it is to be: the new one is as good, if it is the whole of it.
        let result = replaced_meanwhile(desk, None).await;
        assert_eq!(result["data"]["seen"]["in"], file("large", &pattern(LENGTH, 2)), "{result}");
        // It was said: then the task fails.
        let result =
            replaced_meanwhile(desk, Some(json!({ "uri": desk.uri("large"), "size": LENGTH }))).await;
        failed(&result, "INTEGRITY_MISMATCH_ERROR", &desk.uri("large"));
    });
}

fn a_part_of_another_version_is_noticed_whatever_the_storage_thinks(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        desk.put("large", pattern(LENGTH, 1)).await;
        // Not every storage obeys `If-Match`.
        let another = Fault::Header("etag", Some("\"another\"".to_owned()));
        desk.add(Rule::new(another).method("GET").containing("/large").containing("bytes=16777216-"));
        desk.refused(json!({ "in": desk.uri("large") }), "INTEGRITY_MISMATCH_ERROR", "changed").await;
    });
}
