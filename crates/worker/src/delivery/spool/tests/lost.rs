//! Files that lose their names while the worker runs.

use super::*;

/// The file and its folder, lost in every way while the worker runs.
#[tokio::test]
async fn a_file_that_loses_its_name_is_written_anew() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 7] = [
        ("the file is removed", |folder| std::fs::remove_file(folder.join("w-1.redb")).expect("removed")),
        ("the folder is removed", |folder| std::fs::remove_dir_all(folder).expect("removed")),
        ("the file is renamed", |folder| {
            std::fs::rename(folder.join("w-1.redb"), folder.join("other")).expect("renamed");
        }),
        ("the folder is renamed", |folder| {
            std::fs::rename(folder, folder.with_extension("old")).expect("renamed");
        }),
        ("an empty file takes its place", |folder| {
            std::fs::write(folder.join("empty"), "").expect("written");
            std::fs::rename(folder.join("empty"), folder.join("w-1.redb")).expect("renamed");
        }),
        ("another folder takes its place", |folder| {
            std::fs::rename(folder, folder.with_extension("old")).expect("renamed");
            std::fs::create_dir(folder).expect("made");
        }),
        ("a copy takes its place", |folder| {
            std::fs::copy(folder.join("w-1.redb"), folder.join("copy")).expect("copied");
            std::fs::rename(folder.join("copy"), folder.join("w-1.redb")).expect("renamed");
        }),
    ];
    for (name, lose) in losses {
        let logs = Logs::new();
        let _guard = logs.start();
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("outbox");
        let (spool, _) = open(&folder).await;
        spool.begin(task("runs")).await;
        let [acknowledged, own, foreign] = ["acknowledged", "own", "foreign"].map(|name| {
            let spool = spool.clone();
            async move { spool.keep(record(name)).await }
        });
        let (acknowledged, own, foreign) = (acknowledged.await, own.await, foreign.await);
        spool.change(|ledger| ledger.leave_in_file(foreign));
        spool.remove(acknowledged);
        spool.keep(record("later")).await;
        lose(&folder);
        until(name, || logs.contains("results are written to disk again")).await;
        assert_eq!(logs.count("removed, renamed or replaced"), 1, "{name}: {logs:?}");
        assert!(spool.is_well() && spool.is_written(own), "{name}");
        spool.keep(record("after")).await;
        let (_, results) = open(copied(&folder).path()).await;
        let mut found = task_ids(&results);
        found.sort();
        assert_eq!(found, ["after", "foreign", "later", "own", "runs"], "{name}");
        spool.close().await;
        // The copy was lost too.
        let is_error = |line: &&String| line.contains("ERROR") && line.contains("outbox/w-1.redb");
        assert_eq!(logs.lines().iter().filter(is_error).count(), 1, "{name}: {logs:?}");
    }
}

#[tokio::test]
async fn a_lost_folder_is_said_as_such_also_when_a_refused_result_is_the_first_to_miss_it() {
    let logs = Logs::new();
    let _guard = logs.start();
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("outbox");
    let (spool, _) = open(&folder).await;
    let (refused, kept) = (spool.keep(record("refused")).await, spool.keep(record("kept")).await);
    std::fs::remove_dir_all(&folder).expect("removed");
    spool.reject(refused, "why".to_owned());
    until("well again", || logs.contains("results are written to disk again")).await;
    assert_eq!(
        (logs.count("cannot be written to disk"), logs.count("removed, renamed or replaced")),
        (1, 1),
        "{logs:?}"
    );
    assert!(spool.is_written(kept));
    assert!(std::fs::read_to_string(folder.join("w-1.rejected.jsonl")).expect("a file").contains("refused"));
}

#[tokio::test]
async fn the_file_is_looked_for_while_there_is_never_anything_to_write() {
    let parent = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(parent.path()).await;
    std::fs::remove_file(parent.path().join("w-1.redb")).expect("removed");
    let is_lost = || {
        spool.change(|_| ());
        parent.path().join("w-1.redb").exists()
    };
    until("made anew", is_lost).await;
}

#[tokio::test]
async fn a_file_that_loses_its_name_and_cannot_be_written_anew_is_said_until_it_can() {
    let parent = tempfile::tempdir().expect("a folder");
    let (folder, away) = (parent.path().join("outbox"), parent.path().join("away"));
    let (spool, _) = open(&folder).await;
    let key = spool.keep(record("own")).await;
    std::fs::rename(&folder, &away).expect("renamed");
    std::fs::write(&folder, "in the way").expect("written");
    until("noticed", || !spool.is_well() && !spool.is_written(key)).await;
    let later = spool.keep(record("later")).await;
    assert!(!spool.is_written(later));
    std::fs::remove_file(&folder).expect("removed");
    // What was acknowledged meanwhile is not in the old file's place either.
    spool.remove(key);
    std::fs::rename(&away, &folder).expect("renamed back");
    until("well again", || spool.is_well() && spool.is_written(later)).await;
    assert_eq!(task_ids(&open(copied(&folder).path()).await.1), ["later"]);
}

#[tokio::test]
async fn the_file_of_another_process_is_never_removed() {
    let parent = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (parent.path().join("ours"), parent.path().join("theirs"));
    let (other, _) = open(&theirs).await;
    other.keep(record("theirs")).await;
    other.close().await;
    let (spool, _) = open(&ours).await;
    // Just before the end, when nobody looks any more.
    std::fs::rename(theirs.join("w-1.redb"), ours.join("w-1.redb")).expect("renamed");
    spool.close().await;
    assert_eq!(task_ids(&open(&ours).await.1), ["theirs"]);
}
