//! Keys, and their listings.

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::{pattern, started};

#[tokio::test]
async fn every_key_is_a_name_of_its_own() {
    let (storage, client) = started().await;
    let keys = [
        "a",
        "a/b",
        "A",
        "A/b",
        "a/",
        "a//b",
        "../../etc/passwd",
        "..",
        ".",
        "/absolute",
        "-",
        "a b+c%2Fd&e=f?g#h",
        "ünïcödé/ключ/鍵",
        "nul\0nul",
        "tab\tnew\nline",
        &"long".repeat(256),
    ];
    for key in keys {
        storage.put(storage.bucket(), key, key.to_owned()).await.expect("written");
    }
    for key in keys {
        assert_eq!(storage.get(storage.bucket(), key).await.expect("it is there"), key);
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(storage.keys(storage.bucket(), "").expect("the bucket"), sorted);
    // Keys that the client can express are the same over the network.
    let expressed = keys.iter().filter_map(|key| Path::parse(key).ok().map(|path| (*key, path)));
    let mut seen = 0;
    for (key, path) in expressed {
        if path.as_ref() == key {
            let got = client.get(&path).await.expect("it is there").bytes().await.expect("whole");
            assert_eq!(got, key);
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen}");
}

#[tokio::test]
async fn a_key_passes_the_network_unchanged() {
    let (storage, client) = started().await;
    for key in ["ü/ж b", "a%20b", "a+b", "a=b&c", "(a)!'*~$@:,;"] {
        let path = Path::parse(key).expect("a path");
        client.put(&path, key.to_owned().into()).await.expect("written");
        assert_eq!(storage.get(storage.bucket(), key).await.expect("it is there"), key, "{key}");
    }
}

#[tokio::test]
async fn long_listings_come_in_pages() {
    let (storage, client) = started().await;
    let keys: Vec<String> = (0..2500).map(|number| format!("many/{:02}/{number:05}", number % 7)).collect();
    for key in &keys {
        storage.put(storage.bucket(), key, "x").await.expect("written");
    }
    storage.put(storage.bucket(), "many.txt", "x").await.expect("written");
    let prefix = Path::from("many");
    let listed: Vec<_> = client.list(Some(&prefix)).try_collect().await.expect("a listing");
    let mut listed: Vec<String> = listed.into_iter().map(|object| object.location.to_string()).collect();
    listed.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);

    let level = client.list_with_delimiter(Some(&prefix)).await.expect("a listing");
    assert_eq!((level.common_prefixes.len(), level.objects.len()), (7, 0));
    let root = client.list_with_delimiter(None).await.expect("a listing");
    assert_eq!((root.common_prefixes.len(), root.objects.len()), (1, 1));

    let rest: Vec<_> = client
        .list_with_offset(Some(&prefix), &Path::from(sorted[2400].as_str()))
        .try_collect()
        .await
        .expect("a listing");
    assert_eq!(rest.len(), 99);
    let none: Vec<_> = client.list(Some(&Path::from("none"))).try_collect().await.expect("a listing");
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_listing_has_size_and_etag() {
    let (_storage, client) = started().await;
    let put = client.put(&Path::from("a/b"), pattern(1234).into()).await.expect("written");
    let listed: Vec<_> = client.list(Some(&Path::from("a"))).try_collect().await.expect("a listing");
    assert_eq!((listed[0].size, &listed[0].e_tag), (1234, &put.e_tag));
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let (storage, client) = started().await;
    for key in ["a", "b", "c"] {
        storage.put(storage.bucket(), key, "x").await.expect("written");
    }
    let which = futures_util::stream::iter(["a", "c", "never"].map(|key| Ok(Path::from(key))));
    let deleted: Vec<_> = client.delete_stream(Box::pin(which)).try_collect().await.expect("deleted");
    assert_eq!(deleted.len(), 3);
    assert_eq!(storage.keys(storage.bucket(), "").expect("the bucket"), ["b"]);
}
