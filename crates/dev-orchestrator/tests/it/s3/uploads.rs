//! Multipart uploads.

use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};

use super::{pattern, started};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn parts_make_one_object() {
    let (storage, client) = started().await;
    let (path, bytes) = (Path::from("a"), pattern(13 * MIB + 7));
    let mut upload = client.put_multipart(&path).await.expect("begun");
    assert_eq!(storage.open_uploads(storage.bucket()).expect("the bucket"), ["a"]);
    for start in [0, 5 * MIB, 10 * MIB] {
        let end = (start + 5 * MIB).min(bytes.len());
        upload.put_part(bytes.slice(start..end).into()).await.expect("written");
    }
    assert!(client.head(&path).await.is_err(), "there is no object before the end");
    let put = upload.complete().await.expect("completed");
    assert!(put.e_tag.as_deref().is_some_and(|etag| etag.ends_with("-3\"")), "{put:?}");
    assert!(storage.open_uploads(storage.bucket()).expect("the bucket").is_empty());

    assert_eq!(client.get(&path).await.expect("it is there").bytes().await.expect("whole"), bytes);
    // A range from the first part to the third.
    let across = (5 * MIB - 3) as u64..(10 * MIB + 3) as u64;
    let options = GetOptions { range: Some(GetRange::Bounded(across.clone())), ..GetOptions::default() };
    let got = client.get_opts(&path, options).await.expect("it is there").bytes().await.expect("whole");
    assert_eq!(got, bytes.slice(across.start as usize..across.end as usize));
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let (storage, client) = started().await;
    let mut upload = client.put_multipart(&Path::from("a")).await.expect("begun");
    upload.put_part(pattern(5 * MIB).into()).await.expect("written");
    upload.abort().await.expect("aborted");
    assert!(storage.open_uploads(storage.bucket()).expect("the bucket").is_empty());
    assert!(storage.keys(storage.bucket(), "").expect("the bucket").is_empty());
}

#[tokio::test]
async fn parts_that_are_too_small_are_refused_as_by_s3() {
    let (_storage, client) = started().await;
    let mut upload = client.put_multipart(&Path::from("a")).await.expect("begun");
    for _ in 0..2 {
        upload.put_part(pattern(1000).into()).await.expect("written");
    }
    let error = upload.complete().await.expect_err("the first is too small");
    assert!(format!("{error:?}").contains("EntityTooSmall"), "{error:?}");
}
