//! Files that give their room back.

use super::*;

fn size(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("w-1.redb")).expect("there").len()
}

/// Makes the file large, and returns the results that do so.
async fn fill(spool: &Spool, folder: &Path) -> Vec<Key> {
    let large = |number: usize| Record { body: vec![b'1'; 1 << 20].into(), ..record(&number.to_string()) };
    let keys: Vec<_> = (0..40).map(|number| spool.change(|ledger| ledger.finish(large(number)))).collect();
    until("written", || keys.iter().all(|key| spool.is_written(*key))).await;
    assert!(size(folder) > 40 << 20);
    keys
}

#[tokio::test]
async fn an_empty_file_gives_its_room_back() {
    let folder = tempfile::tempdir().expect("a folder");
    // A process died while it did so.
    std::fs::write(folder.path().join("w-1.redb.new"), "half").expect("written");
    let (spool, _) = open(folder.path()).await;
    let size = || size(folder.path());
    let keys = fill(&spool, folder.path()).await;
    let last = spool.keep(record("last")).await;
    for key in keys {
        spool.remove(key);
    }
    spool.begin(task("runs")).await;
    until("smaller", || size() <= 16 << 20).await;
    assert!(spool.is_well() && spool.is_written(last));
    spool.keep(record("later")).await;
    assert_eq!(task_ids(&open(copied(folder.path()).path()).await.1), ["last", "later", "runs"]);
    // With nothing left at all.
    for key in fill(&spool, folder.path()).await {
        spool.remove(key);
    }
    spool.change(|ledger| {
        ledger
            .results
            .rows
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|key| drop(ledger.remove(key)));
        ledger.tasks.remove(&task("runs").0);
    });
    until("smaller again", || size() <= 16 << 20).await;
    let logs = Logs::new();
    let _guard = logs.start();
    assert_eq!(task_ids(&open(copied(folder.path()).path()).await.1), [""; 0]);
    assert_eq!(logs.count("lacks its last writes"), 0, "{logs:?}");
    assert!(!folder.path().join("w-1.redb.new").exists());
}

#[tokio::test]
async fn a_file_that_cannot_give_its_room_back_stays_in_use() {
    let logs = Logs::new();
    let _guard = logs.start();
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path()).await;
    let in_the_way = folder.path().join("w-1.redb.new");
    std::fs::create_dir(&in_the_way).expect("made");
    for key in fill(&spool, folder.path()).await {
        spool.remove(key);
    }
    let key = spool.keep(record("kept")).await;
    until("tried twice", || logs.count("a new one cannot be made") >= 2).await;
    assert!(spool.is_well() && spool.is_written(key));
    assert_eq!(logs.count("cannot be written to disk"), 0, "{logs:?}");
    std::fs::remove_dir(&in_the_way).expect("removed");
    until("smaller", || size(folder.path()) <= 16 << 20).await;
    assert_eq!(task_ids(&open(copied(folder.path()).path()).await.1), ["kept"]);
}
