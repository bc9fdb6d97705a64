//! Single objects.

use std::collections::BTreeSet;

use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _,
    PutMode, PutOptions, UpdateVersion,
};
use tokio::task::JoinSet;

use super::{client, pattern, started};

#[tokio::test]
async fn objects_of_any_size_are_returned_unchanged() {
    let (storage, client) = started().await;
    for size in [0, 1, 1000, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 3_000_001] {
        let (path, bytes) = (Path::from(format!("size/{size}")), pattern(size));
        let put = client.put(&path, bytes.clone().into()).await.expect("written");
        let head = client.head(&path).await.expect("it is there");
        assert_eq!((head.size, &head.e_tag), (size as u64, &put.e_tag));
        assert_eq!(client.get(&path).await.expect("it is there").bytes().await.expect("whole"), bytes);
        assert_eq!(storage.get(storage.bucket(), path.as_ref()).await.expect("it is there"), bytes);
    }
    let etag = client.head(&Path::from("size/0")).await.expect("it is there").e_tag;
    assert_eq!(etag.as_deref(), Some("\"d41d8cd98f00b204e9800998ecf8427e\""));
}

#[tokio::test]
async fn ranges_are_served_as_requested() {
    let (_storage, client) = started().await;
    let (path, bytes) = (Path::from("a"), pattern(1_500_000));
    client.put(&path, bytes.clone().into()).await.expect("written");
    let rows = [
        (GetRange::Bounded(0..1), 0..1),
        (GetRange::Bounded(700_000..1_400_000), 700_000..1_400_000),
        (GetRange::Bounded(1_499_999..9_000_000), 1_499_999..1_500_000),
        (GetRange::Offset(1_000_000), 1_000_000..1_500_000),
        (GetRange::Suffix(7), 1_499_993..1_500_000),
    ];
    for (range, expected) in rows {
        let options = GetOptions { range: Some(range.clone()), ..GetOptions::default() };
        let got = client.get_opts(&path, options).await.expect("it is there");
        assert_eq!((got.range.start, got.range.end), (expected.start as u64, expected.end as u64), "{range}");
        assert_eq!(got.bytes().await.expect("whole"), bytes.slice(expected), "{range}");
    }
    let behind = GetOptions { range: Some(GetRange::Bounded(1_500_000..1_500_001)), ..GetOptions::default() };
    let error = client.get_opts(&path, behind).await.expect_err("there is nothing");
    assert!(error.to_string().contains("416"), "{error}");
}

#[tokio::test]
async fn missing_objects_and_buckets_are_reported() {
    let (storage, client) = started().await;
    let error = client.get(&Path::from("a")).await.expect_err("there is nothing");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("NoSuchKey"), "{error}");
    let error = client.head(&Path::from("a")).await.expect_err("there is nothing");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    client.delete(&Path::from("a")).await.expect("a missing object can be deleted");

    let elsewhere = self::client(&storage, "no-such-bucket", storage.secret_key());
    for error in [
        elsewhere.get(&Path::from("a")).await.expect_err("there is no bucket"),
        elsewhere.put(&Path::from("a"), "x".into()).await.expect_err("there is no bucket"),
    ] {
        assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    }
}

#[tokio::test]
async fn attributes_and_copies_are_kept() {
    let (storage, client) = started().await;
    let attributes = Attributes::from_iter([
        (Attribute::ContentType, "text/plain; charset=utf-8"),
        (Attribute::CacheControl, "no-store"),
        (Attribute::Metadata("made-by".into()), "a test"),
    ]);
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    client.put_opts(&Path::from("a"), "hello".into(), options).await.expect("written");
    client.copy_opts(&Path::from("a"), &Path::from("b"), CopyOptions::default()).await.expect("copied");
    client.delete(&Path::from("a")).await.expect("deleted");
    let got = client.get(&Path::from("b")).await.expect("it is there");
    assert_eq!(got.attributes, attributes);
    assert_eq!(got.bytes().await.expect("whole"), "hello");
    assert_eq!(storage.keys(storage.bucket(), "").expect("the bucket"), ["b"]);
}

#[tokio::test]
async fn a_reader_gets_the_old_object_while_it_is_replaced() {
    let (storage, client) = started().await;
    let (path, old) = (Path::from("a"), pattern(3_000_000));
    client.put(&path, old.clone().into()).await.expect("written");
    let reading = client.get(&path).await.expect("it is there");
    client.put(&path, "new".into()).await.expect("written");
    assert_eq!(reading.bytes().await.expect("whole"), old);
    assert_eq!(storage.get(storage.bucket(), "a").await.expect("it is there"), "new");
}

#[tokio::test]
async fn only_one_of_many_clients_creates_an_object() {
    let (_storage, client) = started().await;
    let mut racers = JoinSet::new();
    for number in 0..16 {
        let client = client.clone();
        racers.spawn(async move {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let put = client.put_opts(&Path::from("a"), number.to_string().into(), options).await;
            (number, put)
        });
    }
    let mut winners = BTreeSet::new();
    while let Some(ended) = racers.join_next().await {
        match ended.expect("no panic") {
            (number, Ok(_)) => drop(winners.insert(number.to_string())),
            (_, Err(error)) => assert!(matches!(error, Error::AlreadyExists { .. }), "{error}"),
        }
    }
    let kept = client.get(&Path::from("a")).await.expect("it is there").bytes().await.expect("whole");
    let kept = String::from_utf8(kept.to_vec()).expect("a number");
    assert_eq!(winners, BTreeSet::from([kept]));
}

#[tokio::test]
async fn conditions_are_obeyed() {
    let (_storage, client) = started().await;
    let path = Path::from("a");
    let first = client.put(&path, "1".into()).await.expect("written").e_tag;
    let update = |e_tag| PutOptions {
        mode: PutMode::Update(UpdateVersion { e_tag, version: None }),
        ..PutOptions::default()
    };
    client.put_opts(&path, "2".into(), update(first.clone())).await.expect("it was the first");
    let error = client.put_opts(&path, "3".into(), update(first.clone())).await.expect_err("it is not");
    assert!(matches!(error, Error::Precondition { .. }), "{error}");

    let same = client.head(&path).await.expect("it is there").e_tag;
    let unless = GetOptions { if_none_match: same, ..GetOptions::default() };
    let error = client.get_opts(&path, unless).await.expect_err("it is known");
    assert!(matches!(error, Error::NotModified { .. }), "{error}");
    let only = GetOptions { if_match: first, ..GetOptions::default() };
    let error = client.get_opts(&path, only).await.expect_err("it was replaced");
    assert!(matches!(error, Error::Precondition { .. }), "{error}");
}
