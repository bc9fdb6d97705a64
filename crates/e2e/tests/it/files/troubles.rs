//! Storages and networks that fail.

use e2e::StorageKind;
use serde_json::json;
use testkit::{Fault, Rule};

use super::site::{Site, file, pattern};

with_both_stores!(
    a_download_that_fails_at_first_is_tried_again,
    a_download_that_always_fails_is_a_transient_failure
);

const LENGTH: usize = 9 << 20;

fn a_download_that_fails_at_first_is_tried_again(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        let bytes = pattern(LENGTH, 1);
        desk.put("large", bytes.clone()).await;
        let half = (LENGTH / 2) as u64;
        for fault in [
            Fault::slow_down(),
            Fault::internal_error(),
            Fault::CutAnswer(0),
            Fault::CutAnswer(half / 2),
            Fault::LoseAnswer,
        ] {
            desk.proxy.clear();
            desk.add(Rule::new(fault.clone()).method("GET").containing("/large").once());
            desk.add(Rule::new(fault.clone()).method("HEAD").containing("/large").once());
            let faults = desk.proxy.faults();
            let result = desk.result("look", json!({ "in": desk.uri("large") })).await;
            assert_eq!(result["data"]["seen"]["in"], file("large", &bytes), "{fault:?}: {result}");
            assert!(desk.proxy.faults() > faults, "{fault:?} happened");
        }
    });
}

fn a_download_that_always_fails_is_a_transient_failure(kind: StorageKind) {
    let site = Site::new(kind);
    site.judge(async |desk| {
        desk.put("large", pattern(LENGTH, 1)).await;
        desk.put("set/large", pattern(LENGTH, 1)).await;
        // Answers are cut before their first byte: if each try got half of the rest, the download would succeed in the
        // end.
        for fault in [Fault::slow_down(), Fault::internal_error(), Fault::CutAnswer(0)] {
            desk.proxy.clear();
            desk.add(Rule::new(fault).method("GET"));
            desk.refused(json!({ "in": desk.uri("large") }), "TRANSIENT_ERROR", &desk.uri("large")).await;
            desk.refused(json!({ "in": desk.uri("set/") }), "TRANSIENT_ERROR", &desk.uri("set/")).await;
        }
        // The next download is complete.
        desk.proxy.clear();
        let result = desk.result("look", json!({ "in": desk.uri("large") })).await;
        assert_eq!(result["data"]["seen"]["in"], file("large", &pattern(LENGTH, 1)), "{result}");
    });
}
