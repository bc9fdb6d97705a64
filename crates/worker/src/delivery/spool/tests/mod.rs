mod lost;
mod room;

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde_json::Value;
use testkit::capture::Logs;

use super::*;
use crate::delivery::record::{BegunTask, TaskKey};

impl Spool {
    async fn keep(&self, record: Record) -> Key {
        self.change_durably(|ledger| ledger.finish(record)).await
    }

    async fn begin(&self, (task, begun): (TaskKey, BegunTask)) {
        self.change_durably(|ledger| ledger.tasks.insert(task, begun)).await;
    }

    fn remove(&self, key: Key) {
        self.change(|ledger| ledger.remove(key)).expect("it is there");
    }
}

fn worker() -> WorkerId {
    WorkerId::new("w-1").expect("an identifier")
}

pub(super) fn record(name: &str) -> Record {
    Record {
        orchestrator: "http://o/".into(),
        job_id: JobId::received("j").expect("not empty"),
        task_id: TaskId::received(name).expect("not empty"),
        since: 1_000,
        newer: true,
        is_replacement: false,
        is_in_flight: false,
        body: Bytes::from_static(b"{}"),
    }
}

pub(super) fn task(name: &str) -> (TaskKey, BegunTask) {
    let Record { orchestrator, job_id, task_id, .. } = record(name);
    let begun =
        BegunTask { job_id, name: TaskName::new("echo").expect("a name"), started: true, newer: true };
    (TaskKey { orchestrator, task_id }, begun)
}

async fn open(folder: &Path) -> OpenedSpool {
    Spool::open(folder.to_owned(), &worker()).await.expect("it opens")
}

async fn refusal(folder: &Path) -> String {
    let (file, error) = Spool::open(folder.to_owned(), &worker()).await.expect_err("it does not open");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{}: {error}: {source}", file.display())
}

/// The folder as a killed process leaves it: nothing more is written, and the lock is released.
fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for name in ["w-1.redb", "w-1.rejected.jsonl", "w-1.lock"] {
        if folder.join(name).exists() {
            std::fs::copy(folder.join(name), copy.path().join(name)).expect("copied");
        }
    }
    copy
}

fn task_ids(results: &[(Key, Record)]) -> Vec<String> {
    results.iter().map(|(_, record)| record.task_id.to_string()).collect()
}

async fn until(what: &str, check: impl Fn() -> bool) {
    let began = Instant::now();
    while !check() {
        assert!(began.elapsed() < testkit::PATIENCE, "{what}: waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn after_a_kill_kept_results_are_there_and_removed_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, results) = open(folder.path()).await;
    assert!(results.is_empty());
    let mut keys = Vec::new();
    for name in ["a", "b", "c"] {
        keys.push(spool.keep(record(name)).await);
    }
    assert!(keys.iter().all(|key| spool.is_written(*key)));
    let (_, results) = open(copied(folder.path()).path()).await;
    assert_eq!(task_ids(&results), ["a", "b", "c"]);
    assert_eq!(results[0].1, record("a"), "whole");
    spool.remove(keys[1]);
    // Whatever is waited for comes after it.
    spool.keep(record("d")).await;
    let (_, results) = open(copied(folder.path()).path()).await;
    assert_eq!(task_ids(&results), ["a", "c", "d"]);
}

#[tokio::test]
async fn a_task_that_began_and_did_not_end_has_died() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    for name in ["ended", "died"] {
        spool.begin(task(name)).await;
    }
    spool.keep(record("ended")).await;
    let copy = copied(folder.path());
    for _ in 0..2 {
        // Once: it is a result like any other from then on, whatever becomes of the process.
        let (_, results) = open(copied(copy.path()).path()).await;
        assert_eq!(task_ids(&results), ["ended", "died"]);
        let body: Value = serde_json::from_slice(&results[1].1.body).expect("JSON");
        assert_eq!(
            (&body["status"], &body["error"]["code"], &body["error"]["message"]),
            (&"failure".into(), &"TRANSIENT_ERROR".into(), &"worker process died".into())
        );
        assert_eq!((&body["task_id"], &body["worker_id"]), (&"died".into(), &"w-1".into()));
    }
}

#[tokio::test]
async fn many_at_once_share_their_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    let all = (0..500).map(|number| {
        let spool = spool.clone();
        async move { spool.keep(record(&number.to_string())).await }
    });
    let keys = futures_util::future::join_all(all).await;
    assert!(keys.iter().all(|key| spool.is_written(*key)));
    spool.close().await;
    assert_eq!(open(folder.path()).await.1.len(), 500);
}

#[tokio::test]
async fn a_spool_with_nothing_to_keep_leaves_no_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    spool.begin(task("t")).await;
    let key = spool.keep(record("t")).await;
    spool.remove(key);
    spool.close().await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_dropped_spool_writes_the_rest_and_releases_the_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    spool.change(|ledger| ledger.finish(record("t")));
    drop(spool);
    assert_eq!(task_ids(&open(folder.path()).await.1), ["t"]);
}

#[tokio::test]
async fn two_workers_may_share_a_folder_but_not_an_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_spool, _) = open(folder.path()).await;
    let text = refusal(folder.path()).await;
    assert!(text.contains("w-1.redb") && text.contains("another live process"), "{text}");
    let other = WorkerId::new("w-2").expect("an identifier");
    Spool::open(folder.path().to_owned(), &other).await.expect("its own file");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    let text = refusal(&folder.path().join("file/below")).await;
    assert!(text.contains("file/below/w-1.redb") && text.contains("the folder cannot be made"), "{text}");
    assert!(text.contains("os error"), "{text}");
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_the_worker_runs() {
    let logs = Logs::new();
    let _guard = logs.start();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("w-1.redb"), "rubbish ".repeat(1000)).expect("written");
    let (spool, results) = open(folder.path()).await;
    assert!(results.is_empty());
    let line = logs.wait_for("moved aside").await;
    assert!(line.contains("ERROR") && line.contains("w-1.redb.unreadable-"), "{line}");
    let aside = std::fs::read_dir(folder.path()).expect("a folder").filter_map(Result::ok);
    let aside: Vec<_> =
        aside.filter(|entry| entry.file_name().to_string_lossy().contains("unreadable")).collect();
    assert_eq!(std::fs::read(aside[0].path()).expect("read").len(), 8000, "as it was");
    let key = spool.keep(record("t")).await;
    assert!(spool.is_written(key));
}

#[tokio::test]
async fn a_damaged_last_write_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    for name in ["a", "b"] {
        spool.keep(record(name)).await;
    }
    let file = |copy: &tempfile::TempDir| copy.path().join("w-1.redb");
    let whole = std::fs::read(file(&copied(folder.path()))).expect("read");
    // The byte after the magic number says which of the two commit slots, at 64 and 192, is the last.
    let last = if whole[9] & 1 == 0 { 64 } else { 192 };
    for (at, is_cut_back) in [(None, false), (Some(last + 8), true)] {
        let logs = Logs::new();
        let _guard = logs.start();
        let copy = copied(folder.path());
        let mut bytes = whole.clone();
        if let Some(at) = at {
            bytes[at] ^= 0xff;
        }
        std::fs::write(file(&copy), bytes).expect("written");
        let (_, results) = open(copy.path()).await;
        assert_eq!(results.len(), if is_cut_back { 1 } else { 2 });
        assert_eq!(logs.count("lacks its last writes"), usize::from(is_cut_back), "{logs:?}");
    }
}

#[tokio::test]
async fn a_refused_result_is_a_line_for_people_and_its_replacement_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    let first = spool.keep(record("t")).await;
    let reason = "result refused: 422, 2 bytes".to_owned();
    let by = Record { is_replacement: true, ..record("t") };
    let second = spool.change(|ledger| ledger.replace(first, reason, unix_millis(), by));
    until("written", || spool.is_written(second)).await;
    let copy = copied(folder.path());
    let (_, results) = open(copy.path()).await;
    assert_eq!(
        results.iter().map(|(key, record)| (*key, record.is_replacement)).collect::<Vec<_>>(),
        [(second, true)]
    );
    let text = std::fs::read_to_string(copy.path().join("w-1.rejected.jsonl")).expect("there");
    assert!(text.contains("result refused: 422") && text.lines().count() == 1, "{text}");
}

#[tokio::test]
async fn a_result_that_was_left_stays_in_the_file_when_the_rest_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    let key = spool.keep(record("foreign")).await;
    spool.change(|ledger| ledger.leave_in_file(key));
    let other = spool.keep(record("own")).await;
    spool.remove(other);
    spool.close().await;
    assert_eq!(task_ids(&open(folder.path()).await.1), ["foreign"]);
}

/// A small disk of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where that is not permitted.
    #[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"])
            .arg(folder.path())
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: a disk of its own cannot be mounted here");
        }
        mounted.then_some(Self(folder))
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("ballast")).expect("made");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_stops_no_caller_and_has_every_result_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let logs = Logs::new();
    let _guard = logs.start();
    let folder = disk.0.path().join("outbox");
    let (spool, _) = open(&folder).await;
    let large = |name: &str| Record { body: vec![b'1'; 200_000].into(), ..record(name) };
    let before = spool.keep(large("before")).await;
    assert!(spool.is_written(before) && spool.is_well());
    disk.fill();
    let mut during = Vec::new();
    for number in 0..20 {
        let stopwatch = testkit::Stopwatch::start();
        during.push(spool.keep(large(&format!("during-{number}"))).await);
        let took = stopwatch.took();
        assert!(took.is_below(Duration::from_secs(5)), "{took:?}");
    }
    assert!(!spool.is_well() && during.iter().any(|key| !spool.is_written(*key)));
    assert!(spool.is_written(before), "what was there is still there");
    assert_eq!(logs.count("cannot be written to disk"), 1, "logged once: {:?}", logs.lines());
    // Some are acknowledged meanwhile.
    spool.remove(before);
    for key in during.drain(..15) {
        spool.remove(key);
    }
    disk.make_room();
    until("written again", || spool.is_well() && during.iter().all(|key| spool.is_written(*key))).await;
    // Logged just after the spool is well again.
    until("logged", || logs.contains("results are written to disk again")).await;
    spool.close().await;
    let (_, results) = open(&folder).await;
    assert_eq!(task_ids(&results), ["during-15", "during-16", "during-17", "during-18", "during-19"]);
    assert_eq!(results[0].1, large("during-15"));
}

#[tokio::test]
async fn results_of_a_disk_that_never_comes_back_are_named_as_lost() {
    let Some(disk) = SmallDisk::mount() else { return };
    let logs = Logs::new();
    let _guard = logs.start();
    let (spool, _) = open(disk.0.path()).await;
    disk.fill();
    let mut all = Vec::new();
    for number in 0..30 {
        all.push(
            spool.keep(Record { body: vec![b'1'; 200_000].into(), ..record(&number.to_string()) }).await,
        );
    }
    assert!(!spool.is_well());
    spool.close().await;
    let line = logs.wait_for("could not be written to disk").await;
    assert!(line.contains("ERROR"), "{line}");
}

#[tokio::test]
async fn a_disk_that_hangs_is_waited_for_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    let refused = spool.keep(record("refused")).await;
    // A writer that opens it hangs until a reader does.
    let pipe = folder.path().join("w-1.rejected.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    spool.reject(refused, "why".to_owned());
    // From here on, time passes at once wherever nothing happens.
    tokio::time::pause();
    let logs = Logs::new();
    let _guard = logs.start();
    let mut keeping = Box::pin(spool.keep(record("waits")));
    assert!((&mut keeping).now_or_never().is_none());
    // The process is stopped for an hour, which says nothing of the disk.
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!((&mut keeping).now_or_never().is_none() && spool.is_well());
    let began = tokio::time::Instant::now();
    let mut keys = vec![keeping.await];
    assert!(began.elapsed() >= PATIENCE / 2 && !spool.is_well());
    assert!(logs.contains("the disk has not written for 60 s"), "{:?}", logs.lines());
    let began = tokio::time::Instant::now();
    keys.push(spool.keep(record("does not")).await);
    assert!(began.elapsed() < PATIENCE);
    tokio::time::resume();
    let reader = rustix::fs::open(
        &pipe,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK,
        rustix::fs::Mode::empty(),
    );
    std::fs::remove_file(&pipe).expect("removed");
    until("it is well again", || spool.is_well() && keys.iter().all(|key| spool.is_written(*key))).await;
    drop(reader);
    spool.close().await;
    assert_eq!(task_ids(&open(folder.path()).await.1), ["waits", "does not"]);
    assert!(std::fs::read_to_string(pipe).expect("a file").contains("refused"));
}
