//! A task with one file does not wait for tasks with many or large files. The proxy holds the slow transfers until the
//! others have ended.

use avtomatika_worker::files::OpenMode;
use avtomatika_worker::prelude::*;
use e2e::StorageKind;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{Fault, Rule};

use super::site::{Desk, Site, file};

with_both_stores!(
    one_object_does_not_wait_for_many_objects_of_another_task,
    one_file_does_not_wait_for_many_files_of_another_task,
    one_file_does_not_wait_for_the_parts_of_another_task,
    the_later_requests_for_a_file_do_not_wait_again,
);

/// The number of transfers that one task may use, of eight.
const MAX_SHARE: usize = 7;

/// The number of parts of 8 MiB that one task may have in memory.
const MAX_PARTS: usize = 4;

const MIB: u64 = 1 << 20;

#[derive(Deserialize)]
struct Wanted {
    files: usize,
    bytes: u64,
}

/// A handler that makes files in a directory, which is uploaded.
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

/// Starts a task, and waits until this many of its requests of this kind are held. Returns the task's id.
async fn start_and_hold(desk: &Desk, task: Value, held: (&'static str, &str), count: usize) -> String {
    let id = task["task_id"].as_str().expect("it has one").to_owned();
    desk.add(Rule::new(Fault::Hold).method(held.0).containing(held.1));
    desk.orchestrator.push_task(&task);
    desk.proxy.wait_for_faults(count).await;
    id
}

/// Releases the held requests, and waits until the task has ended with success.
async fn release_and_finish(desk: &Desk, id: &str) {
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

fn one_object_does_not_wait_for_many_objects_of_another_task(kind: StorageKind) {
    judge(kind, async |desk| {
        for number in 0..40 {
            desk.put(&format!("slow/{number}"), "slow").await;
        }
        desk.put("one", "1").await;
        let many = testkit::task("look", json!({ "in": desk.uri("slow/") }));
        let many = start_and_hold(desk, many, ("GET", "/slow/"), MAX_SHARE).await;
        let result = desk.result("look", json!({ "in": desk.uri("one") })).await;
        assert_eq!(result["data"]["seen"]["in"], file("one", b"1"), "{result}");
        assert_eq!(desk.proxy.count("GET", "/slow/"), MAX_SHARE, "no held request has ended");
        release_and_finish(desk, &many).await;
        assert_eq!(desk.proxy.most_at_once(), MAX_SHARE + 1);
    });
}

fn one_file_does_not_wait_for_many_files_of_another_task(kind: StorageKind) {
    judge(kind, async |desk| {
        let many = testkit::task("make", json!({ "files": 40, "bytes": 10 }));
        let its = format!("/{}/", many["task_id"].as_str().expect("it has one"));
        let many = start_and_hold(desk, many, ("PUT", &its), MAX_SHARE).await;
        make_one(desk, 1).await;
        assert_eq!(desk.proxy.count("PUT", &its), MAX_SHARE, "no held request has ended");
        release_and_finish(desk, &many).await;
    });
}

fn one_file_does_not_wait_for_the_parts_of_another_task(kind: StorageKind) {
    judge(kind, async |desk| {
        let large = testkit::task("make", json!({ "files": 1, "bytes": 33 * MIB }));
        let its = format!("/{}/", large["task_id"].as_str().expect("it has one"));
        let large = start_and_hold(desk, large, ("PUT", &its), MAX_PARTS).await;
        // The file is uploaded from memory as a whole, and there is memory left for it.
        make_one(desk, 2 * MIB).await;
        assert_eq!(desk.proxy.count("PUT", &its), MAX_PARTS, "no held request has ended");
        release_and_finish(desk, &large).await;
    });
}

fn the_later_requests_for_a_file_do_not_wait_again(kind: StorageKind) {
    judge(kind, async |desk| {
        for number in 0..MAX_SHARE {
            desk.put(&format!("slow/{number}"), "slow").await;
        }
        desk.put("one", "1").await;
        let slow = testkit::task("look", json!({ "in": desk.uri("slow/") }));
        // Leaves one transfer for other tasks. Releasing held requests does not end these.
        desk.add(Rule::new(Fault::Hang).method("GET").containing("/slow/"));
        desk.orchestrator.push_task(&slow);
        desk.proxy.wait_for_faults(MAX_SHARE).await;
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
            // Another task arrives, and waits for the same transfer.
            let prefix = format!("other{number}/");
            desk.put(&format!("{prefix}a"), "a").await;
            let other = testkit::task("look", json!({ "in": desk.uri(&prefix) }));
            desk.orchestrator.push_task(&other);
            desk.proxy.wait_for("GET", &format!("prefix=other{number}"), 1).await;
            // By the end of a whole task, the other one has begun to wait.
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
            assert!(next < other, "the request after {held:?} had to wait: {passed:?}");
        }
        desk.proxy.clear();
        desk.proxy.drop_connections();
        let id = slow["task_id"].as_str().expect("it has one");
        let result = desk.orchestrator.wait_for_result(id).await;
        assert_eq!(result["status"], "success", "{result}");
    });
}
