//! The files of the storage.

use std::collections::BTreeSet;

use avtomatika_dev::{DevOrchestrator, LocalS3, S3Settings, Settings};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, PutOptions};
use serde_json::json;

use super::Place;
use crate::client::{Worker, get};
use crate::s3::{client, pattern};

const KEYS: [&str; 11] = [
    "a",
    "a/b",
    "a/",
    "../../etc/passwd",
    "..",
    ".",
    "/absolute",
    "0",
    "ünïcödé/ключ",
    "nul\0nul",
    "tab\tnew\nline",
];

fn storage(orchestrator: &DevOrchestrator) -> &LocalS3 {
    orchestrator.storage().expect("it was not left out")
}

/// Returns the names of the files in the directory of a state.
fn files(place: &Place) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place.path.join("files")).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

#[tokio::test]
async fn files_are_kept_under_any_key_and_no_key_is_a_path() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let bucket = storage(&orchestrator).bucket().to_owned();
    for key in KEYS {
        storage(&orchestrator).put(&bucket, key, format!("in {key}")).await.expect("written");
    }
    storage(&orchestrator).create_bucket("another-one").expect("new");
    storage(&orchestrator).put("another-one", "a", "x").await.expect("written");
    let listed = get(&orchestrator, &format!("/api/files/{bucket}")).await.body;
    orchestrator.shutdown().await;
    assert!(files(&place).iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit())));

    let orchestrator = place.start().await;
    assert_eq!(get(&orchestrator, &format!("/api/files/{bucket}")).await.body, listed);
    for key in KEYS {
        let bytes = storage(&orchestrator).get(&bucket, key).await.expect("it is there");
        assert_eq!(bytes, format!("in {key}"), "{key}");
    }
    assert_eq!(storage(&orchestrator).get("another-one", "a").await.expect("it is there"), "x");
    orchestrator.shutdown().await;
    // Without a storage, nothing of it is lost.
    place.start_with(Settings::new().without_storage()).await.shutdown().await;
    let orchestrator = place.start().await;
    assert_eq!(storage(&orchestrator).keys(&bucket, "").expect("the bucket").len(), KEYS.len());
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn attributes_uploads_copies_and_removals_are_kept() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let s3 =
        client(storage(&orchestrator), storage(&orchestrator).bucket(), storage(&orchestrator).secret_key());
    let attributes: Attributes = [
        (Attribute::ContentType, "image/png"),
        (Attribute::CacheControl, "no-store"),
        (Attribute::Metadata("owner".into()), "me"),
    ]
    .into_iter()
    .collect();
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    s3.put_opts(&Path::from("picture"), "bytes".into(), options).await.expect("written");
    s3.copy(&Path::from("picture"), &Path::from("copy")).await.expect("copied");
    s3.delete(&Path::from("picture")).await.expect("removed");
    for text in ["one", "two"] {
        s3.put(&Path::from("replaced"), text.into()).await.expect("written");
    }
    let (first, second) = (pattern(5 * 1024 * 1024), Bytes::from_static(b"the end"));
    let mut upload = s3.put_multipart(&Path::from("large")).await.expect("begun");
    upload.put_part(first.clone().into()).await.expect("a part");
    upload.put_part(second.clone().into()).await.expect("a part");
    upload.complete().await.expect("complete");
    let mut open = s3.put_multipart(&Path::from("open")).await.expect("begun");
    open.put_part("a part".into()).await.expect("a part");
    orchestrator.shutdown().await;
    // The copy, the second of two, two parts, and the part of the open upload.
    assert_eq!(files(&place).len(), 5, "{:?}", files(&place));
    std::fs::write(place.path.join("files/77"), "of a body that was cut").expect("written");
    std::fs::write(place.path.join("files/not ours"), "x").expect("written");

    let orchestrator = place.start().await;
    let kept = storage(&orchestrator);
    let s3 = client(kept, kept.bucket(), kept.secret_key());
    assert_eq!(kept.keys(kept.bucket(), "").expect("the bucket"), ["copy", "large", "replaced"]);
    let copy = s3.get(&Path::from("copy")).await.expect("it is there");
    assert_eq!(copy.attributes, attributes);
    assert_eq!(copy.bytes().await.expect("whole"), "bytes");
    assert_eq!(kept.get(kept.bucket(), "replaced").await.expect("it is there"), "two");
    let large = kept.get(kept.bucket(), "large").await.expect("it is there");
    assert_eq!(large, [first, second].concat());
    assert_eq!(kept.open_uploads(kept.bucket()).expect("the bucket"), ["open"]);
    // New files do not take the names of old ones, and what belongs to nothing is gone.
    kept.put(kept.bucket(), "new", "new").await.expect("written");
    assert_eq!(kept.get(kept.bucket(), "copy").await.expect("it is there"), "bytes");
    assert!(!files(&place).contains("77") && files(&place).contains("not ours"));
    kept.delete(kept.bucket(), "copy").expect("removed");
    orchestrator.shutdown().await;
    let orchestrator = place.start().await;
    assert_eq!(files(&place).len(), 6, "{:?}", files(&place));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_keys_are_those_of_the_state_unless_others_are_set() {
    let place = Place::new();
    let orchestrator = place.start().await;
    let keys = [storage(&orchestrator).access_key(), storage(&orchestrator).secret_key()].map(str::to_owned);
    // They are masked like others.
    let worker = Worker::registered(&orchestrator, "w", &["x"]).await;
    let event = json!({"worker_id": "w", "event_type": "told", "payload": {"text": keys}});
    assert_eq!(worker.post("events", &event).await.status, 200);
    let wire = String::from_utf8(get(&orchestrator, "/api/wire").await.body.to_vec()).expect("text");
    assert!(wire.contains("told") && keys.iter().all(|key| !wire.contains(key)), "{wire}");
    orchestrator.shutdown().await;
    let state = place.open();
    assert_eq!(state.storage_keys(), (keys[0].as_str(), keys[1].as_str()));
    drop(state);
    let own = Settings::new().with_storage(S3Settings::new().with_keys("mine", "secret"));
    let orchestrator = place.start_with(own).await;
    assert_eq!(storage(&orchestrator).access_key(), "mine");
    orchestrator.shutdown().await;
}
