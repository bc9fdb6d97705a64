//! Objects that are missing, forbidden, or different from their metadata.

use e2e::StorageKind;
use serde_json::json;
use testkit::{Fault, Rule};

use super::site::{Site, failed, file};

with_both_stores!(
    a_missing_or_forbidden_object_is_a_permanent_failure,
    an_object_that_differs_from_its_metadata_is_refused
);

fn a_missing_or_forbidden_object_is_a_permanent_failure(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        desk.put("a", "here").await;
        let missing = desk.uri("missing");
        desk.refused(json!({ "in": [missing] }), "PERMANENT_ERROR", &missing).await;
        // One missing object is enough to fail the task.
        desk.refused(json!({ "one": desk.uri("a"), "two": missing }), "PERMANENT_ERROR", &missing).await;
        let elsewhere = "s3://no-such-bucket-here/a";
        desk.refused(json!({ "in": elsewhere }), "PERMANENT_ERROR", elsewhere).await;
        let elsewhere = "s3://no-such-bucket-here/all/";
        desk.refused(json!({ "in": elsewhere }), "PERMANENT_ERROR", elsewhere).await;

        desk.add(Rule::new(Fault::access_denied()).containing("/a"));
        desk.refused(json!({ "in": desk.uri("a") }), "PERMANENT_ERROR", &desk.uri("a")).await;
        desk.add(Rule::new(Fault::access_denied()).containing("list-type"));
        desk.refused(json!({ "in": desk.uri("all/") }), "PERMANENT_ERROR", &desk.uri("all/")).await;
        desk.proxy.clear();
        let result = desk.result("look", json!({ "in": desk.uri("a") })).await;
        assert_eq!(result["data"]["seen"]["in"], file("a", b"here"), "{result}");
    });
}

fn an_object_that_differs_from_its_metadata_is_refused(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        desk.put("a", "hello").await;
        let uri = desk.uri("a");
        // MD5 of `hello`.
        let etag = "5d41402abc4b2a76b9719d911017c592";
        for (metadata, code) in [
            (json!({ "uri": uri, "size": 6, "etag": etag }), Some("INTEGRITY_MISMATCH_ERROR")),
            (
                json!({ "uri": uri, "size": 5, "etag": "00000000000000000000000000000000" }),
                Some("INTEGRITY_MISMATCH_ERROR"),
            ),
            (json!({ "uri": uri, "size": 5, "etag": etag }), None),
            (json!({ "uri": uri, "size": 5, "etag": format!("W/\"{etag}\"") }), None),
            (json!({ "uri": uri }), None),
        ] {
            let mut task = testkit::task("look", json!({ "deep": { "in": [uri] } }));
            task["params_metadata"] = json!({ "deep.in[0]": metadata });
            let ran = desk.ran();
            let result = desk.result_of(task).await;
            match code {
                Some(code) => {
                    failed(&result, code, &uri);
                    assert_eq!(desk.ran(), ran, "{result}");
                }
                None => {
                    assert_eq!(
                        result["data"]["seen"]["deep"]["in"],
                        json!([file("a", b"hello")]),
                        "{result}"
                    );
                }
            }
        }
        // If an object is named in two places, the metadata of both must match.
        let mut task = testkit::task("look", json!({ "in": [uri, uri] }));
        task["params_metadata"] =
            json!({ "in[0]": { "uri": uri, "size": 5 }, "in[1]": { "uri": uri, "size": 6 } });
        failed(&desk.result_of(task).await, "INTEGRITY_MISMATCH_ERROR", &uri);
    });
}
