//! A full disk.

use std::env;
use std::fs;
use std::process::Command;

use e2e::StorageKind;
use serde_json::json;

use super::site::{Site, file, pattern};

/// The variable that is set in the process with the small disk.
const INSIDE: &str = "E2E_INSIDE_OF_A_NAMESPACE";

const NAME: &str = "files::full_disk::a_full_disk_fails_the_task_and_not_the_worker";

#[test]
fn a_full_disk_fails_the_task_and_not_the_worker() {
    if env::var_os(INSIDE).is_some() {
        return judge();
    }
    // A mount needs a namespace of its own, so this test runs itself in a new process.
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount"]);
    // Some systems do not allow namespaces for ordinary users.
    if !inside.arg("true").output().is_ok_and(|ran| ran.status.success()) {
        return;
    }
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount"]).arg(env::current_exe().expect("a path"));
    let ran = inside.args(["--exact", NAME, "--nocapture"]).env(INSIDE, "1").output().expect("it runs");
    let output = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && output.contains("1 passed"), "{output}");
}

fn judge() {
    let site = Site::new(StorageKind::Local);
    // A worker takes tasks on a small disk, too.
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(site.tasks()).status();
    assert!(mounted.is_ok_and(|status| status.success()), "cannot mount a tmpfs");
    let large = pattern(12 << 20, 1);
    site.storage.put("large", large.clone());
    site.storage.put("set/a", large.clone());
    site.storage.put("small", "small");
    let ballast = site.tasks().join(".ballast");
    site.judge(async |desk| {
        let result = desk.result("look", json!({ "in": desk.uri("small") })).await;
        assert_eq!(result["data"]["seen"]["in"], file("small", b"small"), "{result}");
        // The worker measures the free space every 10 s. The remaining space is enough for the small object only.
        fs::write(&ballast, vec![1; 61 << 20]).expect("it is written");
        desk.refused(json!({ "in": desk.uri("large") }), "RESOURCE_EXHAUSTED_ERROR", "large").await;
        desk.refused(json!({ "in": desk.uri("set/") }), "RESOURCE_EXHAUSTED_ERROR", "").await;
        fs::remove_file(&ballast).expect("it is there");
        let result = desk.result("look", json!({ "in": desk.uri("large") })).await;
        assert_eq!(result["data"]["seen"]["in"], file("large", &large), "{result}");
    });
}
