//! The directory: its modes, its lock, and what cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings, State, StateError};

use super::Place;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn only_its_user_can_read_it_and_the_secrets_stay() {
    let place = Place::new();
    let state = place.open();
    assert_eq!(mode(&place.path), 0o700);
    for name in ["token", "storage-keys", "state.redb", "lock", "version"] {
        assert_eq!(mode(&place.path.join(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(place.path.join("version")).expect("text").trim(), "1");
    let token = state.token().to_owned();
    assert!(token.len() == 32 && state.set_aside().is_none());
    assert!(!format!("{state:?}").contains(&token));
    assert_ne!(state.storage_keys().0, state.storage_keys().1);
    drop(state);
    assert_eq!(place.open().token(), token);
    fs::write(place.path.join("token"), "\n").expect("written");
    assert_ne!(place.open().token(), token, "a token that is none is made anew");
    fs::write(place.path.join("token"), b"\xff\xfe").expect("written");
    assert_eq!(place.open().token().len(), 32);
}

#[tokio::test]
async fn one_process_has_it_until_its_orchestrator_has_shut_down() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let error = State::open(&place.path).expect_err("it is taken");
    let StateError::Taken { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, Some(std::process::id()));
    assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())), "{error}");
    orchestrator.shutdown().await;
    let state = place.open();
    let orchestrator =
        DevOrchestrator::start(Settings::new().with_state(state.clone())).await.expect("a free port");
    let error = DevOrchestrator::start(Settings::new().with_state(state)).await.expect_err("it is taken");
    assert!(error.to_string().contains("belongs to another orchestrator"), "{error}");
    // Dropped without a shutdown, it is free as soon as what has waited is written.
    let job = orchestrator.submit(NewTask::new("x")).expect("room").job_id;
    orchestrator.kept().await.expect("written");
    drop(orchestrator);
    let orchestrator = crate::client::in_time(async {
        loop {
            match State::open(&place.path) {
                Ok(state) => {
                    break DevOrchestrator::start(Settings::new().with_state(state)).await.expect("a port");
                }
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(orchestrator.task(&job).is_some());
    orchestrator.shutdown().await;
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("written");
    let error = State::open(file.join("below")).expect_err("a file is in the way");
    assert!(matches!(&error, StateError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("file/below"), "{error}");
}

/// Fills a state with something, and returns its token.
async fn filled(place: &Place) -> String {
    let orchestrator = place.start().await;
    for _ in 0..200 {
        orchestrator
            .submit(NewTask::new("x").with_params(serde_json::json!({"text": "x".repeat(500)})))
            .expect("room");
    }
    let storage = orchestrator.storage().expect("a storage");
    storage.put(storage.bucket(), "a", "x").await.expect("written");
    orchestrator.shutdown().await;
    place.open().token().to_owned()
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_whole() {
    type Damage = fn(&Path);
    let rows: [(&str, Damage, &str); 8] = [
        (
            "newer",
            |path| fs::write(path.join("version"), "2\n").expect("written"),
            "format 2, and this version reads 1",
        ),
        ("no number", |path| fs::write(path.join("version"), "one").expect("written"), "`version` is `one`"),
        (
            "no version",
            |path| fs::remove_file(path.join("version")).expect("removed"),
            "`version` is missing",
        ),
        (
            "garbage",
            |path| fs::write(path.join("state.redb"), "rubbish ".repeat(10_000)).expect("written"),
            "damaged",
        ),
        (
            "cut",
            |path| {
                let bytes = fs::read(path.join("state.redb")).expect("read");
                fs::write(path.join("state.redb"), &bytes[..bytes.len() / 2]).expect("written");
            },
            "damaged",
        ),
        (
            "zeros",
            |path| {
                let mut bytes = fs::read(path.join("state.redb")).expect("read");
                bytes[4096..].fill(0);
                fs::write(path.join("state.redb"), bytes).expect("written");
            },
            "damaged",
        ),
        ("empty", |path| fs::write(path.join("state.redb"), "").expect("written"), "missing or empty"),
        ("removed", |path| fs::remove_file(path.join("state.redb")).expect("removed"), "missing or empty"),
    ];
    for (name, damage, words) in rows {
        let place = Place::new();
        let token = filled(&place).await;
        fs::write(place.path.join("letter.txt"), "dear").expect("written");
        damage(&place.path);
        let reason = place.reason();
        assert!(reason.contains(words), "{name}: {reason}");
        let aside = fs::read_dir(&place.path).expect("a directory").find_map(|entry| {
            let path = entry.expect("an entry").path();
            path.file_name()?.to_str()?.strip_prefix("aside-")?.parse::<u64>().ok().map(|_| path)
        });
        let aside = aside.expect("a directory with the time");
        assert_eq!(mode(&aside), 0o700);
        assert!(aside.join("files/0").exists() && aside.join("token").exists(), "{name}");
        assert!(place.path.join("letter.txt").exists(), "{name}");
        // It starts empty, and goes on from there.
        let orchestrator = place.start().await;
        assert_eq!(orchestrator.tasks(10).len(), 0, "{name}");
        orchestrator.submit(NewTask::new("x")).expect("room");
        orchestrator.shutdown().await;
        let state = place.open();
        assert!(state.set_aside().is_none(), "{name}: {state:?}");
        assert_ne!(state.token(), token, "{name}");
    }
}

#[test]
fn a_second_damage_in_the_same_second_has_a_directory_of_its_own() {
    let place = Place::new();
    drop(place.open());
    for _ in 0..3 {
        fs::write(place.path.join("version"), "9").expect("written");
        place.reason();
    }
    let entries = fs::read_dir(&place.path).expect("a directory").flatten();
    let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("aside-"));
    assert_eq!(aside.count(), 3);
}

#[test]
fn the_files_of_somebody_else_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("letter.txt");
    fs::write(&own, "dear").expect("written");
    drop(State::open(folder.path()).expect("it opens"));
    assert_eq!(fs::read_to_string(own).expect("there"), "dear");
}

#[test]
fn a_directory_of_something_else_stays_as_it_is() {
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[("version", "1.2.3"), ("README", "x")], "`version` is `1.2.3`"),
        (&[("version", "7")], "`version` is `7`"),
        (&[("files/a", "x")], "it has `files`, but no `version`"),
        (&[("token", "secret")], "it has `token`, but no `version`"),
        (&[("lock", "made by npm")], "`lock` is `made by npm`"),
    ];
    for (files, words) in rows {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        let error = State::open(folder.path()).expect_err("it is not ours");
        assert!(matches!(&error, StateError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        for (name, text) in files {
            assert_eq!(&fs::read_to_string(folder.path().join(name)).expect("there"), text);
        }
        let top = files.iter().map(|(name, _)| name.split('/').next().expect("a name"));
        assert_eq!(
            fs::read_dir(folder.path()).expect("a directory").count(),
            top.count(),
            "nothing was added"
        );
    }
}

#[test]
fn a_database_that_another_program_has_open_is_not_damaged() {
    let place = Place::new();
    let token = place.open().token().to_owned();
    let file = fs::File::open(place.path.join("state.redb")).expect("there");
    file.lock().expect("locked");
    let error = State::open(&place.path).expect_err("it is taken");
    assert!(matches!(&error, StateError::Taken { holder: None, .. }), "{error}");
    drop(file);
    let state = place.open();
    assert!(state.set_aside().is_none() && state.token() == token);
}

#[test]
fn a_first_start_that_was_killed_leaves_nothing_that_is_damaged() {
    let place = Place::new();
    fs::create_dir_all(&place.path).expect("made");
    for database in [None, Some("")] {
        fs::write(place.path.join("version"), "1\n").expect("written");
        if let Some(text) = database {
            fs::write(place.path.join("state.redb"), text).expect("written");
        }
        let state = place.open();
        assert!(state.set_aside().is_none(), "{state:?}");
        drop(state);
        // The directory is free when the writer has ended.
        drop(place.open());
        for name in ["state.redb", "token", "storage-keys"] {
            fs::remove_file(place.path.join(name)).expect("removed");
        }
        fs::remove_dir(place.path.join("files")).expect("removed");
    }
}
