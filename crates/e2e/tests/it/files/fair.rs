//! Tasks with many or large files, and tasks with one. What is slow is held until the others are through.

use avtomatika_worker::files::OpenMode;
use avtomatika_worker::prelude::*;
use e2e::StorageKind;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{Fault, Rule};

use super::site::{Desk, Site, file};

with_both_stores!(
    one_object_does_not_wait_for_the_many_of_another_task,
    one_file_does_not_wait_for_the_many_of_another_task,
    one_file_does_not_wait_for_the_parts_of_another_task,
    the_requests_for_one_file_do_not_wait_one_by_one,
);

/// What one task may have of the eight transfers.
const SHARE: usize = 7;

/// So many parts of 8 MiB are in memory for one task.
const PARTS: usize = 4;

const MIB: u64 = 1 << 20;

#[derive(Deserialize)]
struct Wanted {
    files: usize,
    bytes: u64,
}

/// Makes files in a directory, which is uploaded.
async fn make(Params(wanted): Params<Wanted>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    for number in 0..wanted.files {
        let made = files.open(format!("out/{number}"), OpenMode::WRITE).await?;
        made.set_len(wanted.bytes).await?;
    }
    Ok(Json(json!({ "out": files.path_to("out").await? })))
}

/// Runs a worker with the tasks `look` and `make`.
fn judge(kind: StorageKind, judge: impl AsyncFnOnce(&Desk)) {
    Site::new(kind).judge_with(&[], |builder| builder.task("make", make), judge);
}

/// A task that has begun, all of whose requests of this kind are held.
async fn begun(desk: &Desk, task: Value, held: (&'static str, &str), count: usize) -> String {
    let id = task["task_id"].as_str().expect("it has one").to_owned();
    desk.add(Rule::new(Fault::Hold).method(held.0).containing(held.1));
    desk.orchestrator.push_task(&task);
    desk.proxy.wait_for_faults(count).await;
    id
}

/// Nothing is held any more: it ends well.
async fn ended(desk: &Desk, id: &str) {
    desk.proxy.clear();
    desk.proxy.release();
    let result = desk.orchestrator.wait_for_result(id).await;
    assert_eq!(result["status"], "success", "{result}");
}

async fn make_one(desk: &Desk, bytes: u64) {
    let result = desk.result("make", json!({ "files": 1, "bytes": bytes })).await;
    assert_eq!(result["status"], "success", "{result}");
    let id = result["task_id"].as_str().expect("it has one");
    let sent = desk.get(&format!("{id}/out/0")).await.expect("it is there");
    assert_eq!(sent.len() as u64, bytes);
}

fn one_object_does_not_wait_for_the_many_of_another_task(kind: StorageKind) {
    judge(kind, async |desk| {
        for number in 0..40 {
            desk.put(&format!("slow/{number}"), "slow").await;
        }
        desk.put("one", "1").await;
        let many = testkit::task("look", json!({ "in": desk.uri("slow/") }));
        let many = begun(desk, many, ("GET", "/slow/"), SHARE).await;
        let result = desk.result("look", json!({ "in": desk.uri("one") })).await;
        assert_eq!(result["data"]["seen"]["in"], file("one", b"1"), "{result}");
        assert_eq!(desk.proxy.count("GET", "/slow/"), SHARE, "the first ones are not through");
        ended(desk, &many).await;
        assert_eq!(desk.proxy.most_at_once(), SHARE + 1);
    });
}

fn one_file_does_not_wait_for_the_many_of_another_task(kind: StorageKind) {
    judge(kind, async |desk| {
        let many = testkit::task("make", json!({ "files": 40, "bytes": 10 }));
        let its = format!("/{}/", many["task_id"].as_str().expect("it has one"));
        let many = begun(desk, many, ("PUT", &its), SHARE).await;
        make_one(desk, 1).await;
        assert_eq!(desk.proxy.count("PUT", &its), SHARE, "the first ones are not through");
        ended(desk, &many).await;
    });
}

fn one_file_does_not_wait_for_the_parts_of_another_task(kind: StorageKind) {
    judge(kind, async |desk| {
        let large = testkit::task("make", json!({ "files": 1, "bytes": 33 * MIB }));
        let its = format!("/{}/", large["task_id"].as_str().expect("it has one"));
        let large = begun(desk, large, ("PUT", &its), PARTS).await;
        // It is in memory whole, and finds some.
        make_one(desk, 2 * MIB).await;
        assert_eq!(desk.proxy.count("PUT", &its), PARTS, "the first ones are not through");
        ended(desk, &large).await;
    });
}

fn the_requests_for_one_file_do_not_wait_one_by_one(kind: StorageKind) {
    judge(kind, async |desk| {
        for number in 0..SHARE {
            desk.put(&format!("slow/{number}"), "slow").await;
        }
        desk.put("one", "1").await;
        let slow = testkit::task("look", json!({ "in": desk.uri("slow/") }));
        // One place is left. These are not released with what is held.
        desk.add(Rule::new(Fault::Hang).method("GET").containing("/slow/"));
        desk.orchestrator.push_task(&slow);
        desk.proxy.wait_for_faults(SHARE).await;
        let look = || testkit::task("look", json!({ "in": desk.uri("one") }));
        let make = || testkit::task("make", json!({ "files": 1, "bytes": 17 * MIB }));
        for (number, (task, held, next)) in [
            (look(), ("HEAD", "/one"), ("GET", "/one")),
            (make(), ("POST", "uploads"), ("PUT", "partNumber=1")),
            (make(), ("PUT", "partNumber=3"), ("POST", "uploadId=")),
        ]
        .into_iter()
        .enumerate()
        {
            let before = desk.proxy.passed().len();
            let taken = desk.proxy.faults();
            desk.add(Rule::new(Fault::Hold).method(held.0).containing(held.1).once());
            desk.orchestrator.push_task(&task);
            desk.proxy.wait_for_faults(taken + 1).await;
            // Another one comes, and waits for the same place.
            let prefix = format!("other{number}/");
            desk.put(&format!("{prefix}a"), "a").await;
            let other = testkit::task("look", json!({ "in": desk.uri(&prefix) }));
            desk.orchestrator.push_task(&other);
            desk.proxy.wait_for("GET", &format!("prefix=other{number}"), 1).await;
            // It needs less time to begin to wait than a whole task.
            desk.result("look", json!({})).await;
            desk.proxy.release();
            for task in [&task, &other] {
                let id = task["task_id"].as_str().expect("it has one");
                let result = desk.orchestrator.wait_for_result(id).await;
                assert_eq!(result["status"], "success", "{result}");
            }
            let passed = desk.proxy.passed();
            let when = |method: &str, text: &str| {
                let found = |one: &testkit::Passed| one.method == method && one.target.contains(text);
                passed[before..].iter().position(found).expect("it passed")
            };
            let (next, other) = (when(next.0, next.1), when("GET", &format!("/{prefix}a")));
            assert!(next < other, "what follows {held:?} had to wait: {passed:?}");
        }
        desk.proxy.clear();
        desk.proxy.drop_connections();
        let id = slow["task_id"].as_str().expect("it has one");
        let result = desk.orchestrator.wait_for_result(id).await;
        assert_eq!(result["status"], "success", "{result}");
    });
}
