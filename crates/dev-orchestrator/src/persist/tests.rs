//! The keeper and its writer.

use std::path::PathBuf;

use super::database::Database;
use super::folder::Folder;
use super::*;

/// A keeper of an empty directory.
fn keeper(folder: &tempfile::TempDir) -> Keeper {
    let folder = Folder::take(folder.path()).expect("taken");
    folder.write_version().expect("written");
    let database = Database::open(&folder.database()).expect("it opens");
    Keeper::start(database, folder).expect("a thread")
}

fn rows(path: &std::path::Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let database = Database::open(path).expect("it opens");
    let mut found = Vec::new();
    let read = database.read(|rows| {
        rows.each(Table::Workers, |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
    });
    read.expect("read");
    found
}

#[tokio::test]
async fn what_is_kept_is_in_the_file_and_the_last_value_of_a_row_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = keeper(&folder);
    keeper.kept().await.expect("nothing waits");
    for number in 0..1000_u32 {
        keeper.change(|batch| {
            batch.put(Table::Workers, b"a".to_vec(), number.to_be_bytes().to_vec());
            batch.put(Table::Workers, number.to_be_bytes().to_vec(), Vec::<u8>::new());
            batch.remove(Table::Workers, number.to_be_bytes().to_vec());
        });
    }
    keeper.kept().await.expect("written");
    // As it is after the death of the process: nothing was closed.
    let copy = folder.path().join("copy");
    std::fs::copy(folder.path().join("state.redb"), &copy).expect("copied");
    assert_eq!(rows(&copy), [(b"a".to_vec(), 999_u32.to_be_bytes().to_vec())]);
}

#[tokio::test]
async fn dropping_the_last_keeper_writes_what_waits_and_frees_the_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = keeper(&folder);
    let second = first.clone();
    drop(first);
    second.change(|batch| batch.put(Table::Workers, b"a".to_vec(), b"b".to_vec()));
    drop(second);
    let path = folder.path().to_owned();
    let taken =
        tokio::task::spawn_blocking(move || Folder::take(&path)).await.expect("no panic").expect("free");
    assert_eq!(rows(&taken.database()), [(b"a".to_vec(), b"b".to_vec())]);
}

#[tokio::test]
async fn a_file_is_removed_after_the_row_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (keeper, file) = (keeper(&folder), folder.path().join("7"));
    std::fs::write(&file, "x").expect("written");
    keeper.change(|batch| batch.remove(Table::Objects, b"a".to_vec()));
    keeper.remove_file(file.clone());
    keeper.close();
    keeper.closed().await;
    assert!(!file.exists());
    keeper.change(|batch| batch.put(Table::Workers, b"a".to_vec(), Vec::<u8>::new()));
    assert!(keeper.kept().await.is_err(), "nothing is written any more");
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_written_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder_path = folder.path().to_owned();
    let taken = Folder::take(&folder_path).expect("taken");
    // The database is somewhere else, so that it can be made unusable and usable again.
    let elsewhere = folder_path.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let path: PathBuf = elsewhere.join("state.redb");
    let database = Database::open(&path).expect("it opens").failing();
    let keeper = Keeper::start(database, taken).expect("a thread");
    std::fs::rename(&elsewhere, folder_path.join("away")).expect("renamed");
    keeper.change(|batch| batch.put(Table::Workers, b"a".to_vec(), b"old".to_vec()));
    let error = keeper.kept().await.expect_err("it cannot be written").to_string();
    assert!(error.contains("the state cannot be written"), "{error}");
    keeper.change(|batch| batch.put(Table::Workers, b"a".to_vec(), b"new".to_vec()));
    keeper.change(|batch| batch.put(Table::Workers, b"b".to_vec(), b"other".to_vec()));
    std::fs::rename(folder_path.join("away"), &elsewhere).expect("renamed");
    while keeper.kept().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    keeper.close();
    keeper.closed().await;
    assert_eq!(rows(&path), [(b"a".to_vec(), b"new".to_vec()), (b"b".to_vec(), b"other".to_vec())]);
}

#[tokio::test]
async fn a_row_that_comes_and_goes_while_nothing_can_be_written_takes_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = Folder::take(folder.path()).expect("taken");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let database = Database::open(&elsewhere.join("state.redb")).expect("it opens").failing();
    let keeper = Keeper::start(database, taken).expect("a thread");
    std::fs::rename(&elsewhere, folder.path().join("away")).expect("renamed");
    keeper.change(|batch| batch.put(Table::Workers, b"a".to_vec(), b"b".to_vec()));
    keeper.kept().await.expect_err("it cannot be written");
    // The writer has the rows while it tries.
    let one_row = async || {
        while keeper.waiting().0 != 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        keeper.waiting().1
    };
    let before = one_row().await;
    // In one change, so that the writer is not at work in between.
    keeper.change(|batch| {
        for number in 0..1000 {
            batch.put(Table::Logs, numbered(number), vec![0; 100]);
            batch.put(Table::Workers, b"a".to_vec(), b"c".to_vec());
        }
        for number in 0..1000 {
            batch.remove_unchanged(Table::Logs, numbered(number));
        }
    });
    let after = tokio::time::timeout(std::time::Duration::from_secs(10), one_row()).await;
    assert_eq!(after.expect("nothing else waits"), before);
}

#[test]
fn an_error_of_the_system_is_not_damage() {
    let system = || std::io::Error::from_raw_os_error(5);
    assert!(matches!(Unreadable::from(redb::Error::Io(system())), Unreadable::File(_)));
    assert!(matches!(Unreadable::from(redb::Error::PreviousIo), Unreadable::File(_)));
    assert!(matches!(Unreadable::from(redb::Error::Corrupted("x".to_owned())), Unreadable::Damaged(_)));
    assert!(matches!(Unreadable::from(redb::Error::DatabaseAlreadyOpen), Unreadable::Taken));
}

#[test]
fn keys_are_in_the_order_of_numbers_and_of_texts() {
    assert!(numbered(9) < numbered(10) && numbered(255) < numbered(256));
    assert_eq!((number(&numbered(7)), number(b"short")), (Some(7), None));
    assert_eq!(split(&join("bucket", "a\0b/..")), Some(("bucket", "a\0b/..")));
    assert_eq!(split(b"\xff\0"), None);
}
