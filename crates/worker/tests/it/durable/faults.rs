//! Disks, folders and files that are not what they should be.

use std::path::Path;

use serde_json::{Value, json};
use testkit::{Answer, Endpoint, PATIENCE, Process, ScriptedOrchestrator};

use super::{Outbox, kill, tries, wait_for_try, wait_until_current};
use crate::support::{each, get, program, push, run, started, until};

/// What `/ready` and `/metrics` say, once it is registered.
pub(super) async fn looked_at(process: &Process) -> (Value, String) {
    let line = process.wait_for_line("health server listens").await;
    let address = line.rsplit_once("address=").expect("an address").1.trim().to_owned();
    process.wait_for_line(" registered").await;
    let (_, ready) = get(&address, "/ready").await;
    let (_, metrics) = get(&address, "/metrics").await;
    (serde_json::from_str(&ready).expect("JSON"), metrics)
}

#[tokio::test]
async fn a_folder_that_is_missing_is_made() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let folder = format!("{}/not/there/yet", outbox.path());
    let variables = [("WORKER_OUTBOX_DIR", folder.as_str()), ("WORKER_HOST", "127.0.0.1")];
    let process = program(&orchestrator.url(), &variables).start();
    let (ready, metrics) = looked_at(&process).await;
    assert_eq!(ready["outbox_on_disk"], true, "{ready}");
    assert!(metrics.contains("avtomatika_worker_outbox_on_disk 1"), "{metrics}");
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

#[tokio::test]
async fn what_cannot_be_a_folder_is_an_error_at_start() {
    each(["/proc/nowhere", "/dev/null/below", "/dev/null"], async |folder| {
        let variables = [("WORKER_OUTBOX_DIR", folder)];
        let mut process = program("http://127.0.0.1:1", &variables).start();
        assert_eq!(process.wait(PATIENCE).await.code(), Some(1), "{folder}");
        let text = process.lines().join("\n");
        for said in ["WORKER_OUTBOX_DIR", folder, "cannot be made, or cannot be written to", "os error"] {
            assert!(text.contains(said), "{said} in {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_the_worker_works() {
    let (orchestrator, outbox) = (ScriptedOrchestrator::start().await, Outbox::new());
    let mut process = outbox.start(&orchestrator, &[]).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({}));
    orchestrator.wait_for_result(&id).await;
    kill(&mut process).await;
    let file = outbox.0.path().join("w-1.redb");
    let mut bytes = std::fs::read(&file).expect("read");
    bytes[4096..].fill(0x5a);
    std::fs::write(&file, bytes).expect("written");
    orchestrator.answer_normally(Endpoint::Result);
    let process = outbox.start(&orchestrator, &[]).await;
    let line = process.wait_for_line("moved aside").await;
    assert!(line.contains("ERROR") && line.contains("w-1.redb.unreadable-"), "{line}");
    assert!(outbox.files().iter().any(|name| name.starts_with("w-1.redb.unreadable-")));
    assert_eq!(run(&orchestrator, "echo", json!({})).await["status"], "success");
}

/// A disk of its own, large enough for the worker to take tasks at first.
struct Disk(Outbox);

impl Disk {
    /// None where that is not permitted.
    #[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
    fn mount() -> Option<Self> {
        let outbox = Outbox::new();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=300m", "tmpfs", outbox.path()])
            .output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: a disk of its own cannot be mounted here");
        }
        mounted.then_some(Self(outbox))
    }

    /// In one go: the worker looks every 10 s whether there is space.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.0.path().join("ballast")).expect("made");
        let block = vec![0; 1 << 20];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.0.path().join("ballast")).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l", self.0.path()]).status();
    }
}

#[tokio::test]
async fn a_disk_that_is_full_loses_nothing_and_is_said() {
    let Some(disk) = Disk::mount() else { return };
    let orchestrator = ScriptedOrchestrator::start().await;
    let host = [("WORKER_HOST", "127.0.0.1")];
    let mut process = disk.0.start(&orchestrator, &host).await;
    orchestrator.wait_for_open_polls(1).await;
    // The file has room within itself for small ones.
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    disk.fill();
    let text = "x".repeat(300_000);
    let ids: Vec<_> =
        (0..10).map(|number| push(&orchestrator, "echo", json!({"n": number, "text": text}))).collect();
    until(|| ids.iter().all(|id| !tries(&orchestrator, id).is_empty())).await;
    let line = process.wait_for_line("results cannot be written to disk").await;
    assert!(line.contains("ERROR") && line.contains("w-1.redb"), "{line}");
    let (ready, metrics) = looked_at(&process).await;
    assert_eq!(ready["outbox_on_disk"], false, "{ready}");
    assert!(metrics.contains("avtomatika_worker_outbox_on_disk 0"));
    disk.make_room();
    process.wait_for_line("results are written to disk again").await;
    kill(&mut process).await;
    orchestrator.answer_normally(Endpoint::Result);
    let before: Vec<_> = ids.iter().map(|id| tries(&orchestrator, id).len()).collect();
    let _process = disk.0.start(&orchestrator, &host).await;
    for (id, before) in ids.iter().zip(before) {
        assert_eq!(wait_for_try(&orchestrator, id, before).await["status"], "success");
    }
}

/// A cleaner of temporary files takes the folder away, or a volume is mounted over it, while a task runs and results wait.
#[tokio::test]
async fn a_folder_that_is_lost_while_the_worker_runs_loses_nothing() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 3] = [
        ("removed", |folder| std::fs::remove_dir_all(folder).expect("removed")),
        ("renamed", |folder| std::fs::rename(folder, folder.with_extension("old")).expect("renamed")),
        ("replaced", |folder| {
            std::fs::rename(folder, folder.with_extension("old")).expect("renamed");
            std::fs::create_dir(folder).expect("made");
            std::fs::write(folder.join("w-1.redb"), "").expect("written");
        }),
    ];
    each(losses, async |(name, lose)| {
        let (orchestrator, parent) = (ScriptedOrchestrator::start().await, Outbox::new());
        let folder = parent.0.path().join("outbox");
        let variables =
            [("WORKER_OUTBOX_DIR", folder.to_str().expect("UTF-8")), ("WORKER_HOST", "127.0.0.1")];
        let mut process = started(&orchestrator, &variables).await;
        orchestrator.answer_always(Endpoint::Result, Answer::status(503));
        let before = push(&orchestrator, "echo", json!({"number": 1}));
        let running = push(&orchestrator, "sleep", json!({"seconds": 300}));
        until(|| !tries(&orchestrator, &before).is_empty()).await;
        wait_until_current(&orchestrator, &running).await;
        lose(&folder);
        let line = process.wait_for_line("removed, renamed or replaced while the worker runs").await;
        assert!(line.contains("ERROR") && line.contains("w-1.redb"), "{line}");
        process.wait_for_line("results are written to disk again").await;
        let after = push(&orchestrator, "echo", json!({"number": 2}));
        until(|| !tries(&orchestrator, &after).is_empty()).await;
        assert_eq!(looked_at(&process).await.0["outbox_on_disk"], true, "{name}");
        kill(&mut process).await;
        orchestrator.answer_normally(Endpoint::Result);
        let seen = [&before, &after].map(|id| tries(&orchestrator, id).len());
        let _process = started(&orchestrator, &variables).await;
        for (id, seen) in [&before, &after].into_iter().zip(seen) {
            assert_eq!(wait_for_try(&orchestrator, id, seen).await["status"], "success", "{name}");
        }
        let died = orchestrator.wait_for_result(&running).await;
        assert_eq!(died["error"]["message"], "worker process died", "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_is_lost_and_cannot_be_made_again_is_said_and_that_is_1() {
    let (orchestrator, parent) = (ScriptedOrchestrator::start().await, Outbox::new());
    let folder = parent.0.path().join("outbox");
    let variables = [
        ("WORKER_OUTBOX_DIR", folder.to_str().expect("UTF-8")),
        ("WORKER_HOST", "127.0.0.1"),
        ("WORKER_SHUTDOWN_TIMEOUT", "1"),
    ];
    let mut process = started(&orchestrator, &variables).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    let id = push(&orchestrator, "echo", json!({}));
    until(|| !tries(&orchestrator, &id).is_empty()).await;
    std::fs::rename(&folder, folder.with_extension("old")).expect("renamed");
    std::fs::write(&folder, "in the way").expect("written");
    process.wait_for_line("results cannot be written to disk").await;
    assert_eq!(looked_at(&process).await.0["outbox_on_disk"], false);
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(1), "{:?}", process.lines());
    let line = process.lines().into_iter().find(|line| line.contains("are lost")).expect("a line");
    assert!(line.contains("ERROR") && line.contains(&id), "{line}");
}

#[tokio::test]
async fn results_that_are_in_memory_only_at_the_end_are_lost_and_that_is_1() {
    let Some(disk) = Disk::mount() else { return };
    let orchestrator = ScriptedOrchestrator::start().await;
    let mut process = disk.0.start(&orchestrator, &[("WORKER_SHUTDOWN_TIMEOUT", "1")]).await;
    orchestrator.wait_for_open_polls(1).await;
    orchestrator.answer_always(Endpoint::Result, Answer::status(503));
    disk.fill();
    let text = "x".repeat(300_000);
    let ids: Vec<_> = (0..10).map(|_| push(&orchestrator, "echo", json!({"text": text}))).collect();
    until(|| ids.iter().all(|id| !tries(&orchestrator, id).is_empty())).await;
    process.wait_for_line("results cannot be written to disk").await;
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).await.code(), Some(1));
    let line = process.lines().into_iter().find(|line| line.contains("are lost")).expect("a line");
    assert!(line.contains("ERROR") && ids.iter().any(|id| line.contains(id)), "{line}");
}
