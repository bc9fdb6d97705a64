//! Authentication, settings and shutdown.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, LocalS3, S3Settings, Settings};
use hyper::Method;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use object_store::signer::Signer as _;
use testkit::Stopwatch;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{client, started, unsigned};
use crate::client::{request, send};

#[tokio::test]
async fn wrong_keys_are_refused() {
    let (storage, right) = started().await;
    right.put(&Path::from("a"), "x".into()).await.expect("written");
    let wrong = client(&storage, storage.bucket(), "wrong");
    for error in [
        wrong.get(&Path::from("a")).await.expect_err("refused"),
        wrong.put(&Path::from("a"), "y".into()).await.expect_err("refused"),
    ] {
        let text = format!("{error:?}");
        assert!(text.contains("SignatureDoesNotMatch"), "{text}");
        assert!(!text.contains(storage.secret_key()), "{text}");
    }
    let answer = unsigned(&storage, Method::GET, "/avtomatika-payloads/a").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.windows(12).any(|text| text == b"AccessDenied"), "{:?}", answer.body);
    assert_eq!(storage.get(storage.bucket(), "a").await.expect("it is there"), "x");

    let other = LocalS3::start(S3Settings::new()).await.expect("a free port");
    let stranger = object_store::aws::AmazonS3Builder::new()
        .with_endpoint(storage.endpoint())
        .with_access_key_id("stranger")
        .with_secret_access_key(other.secret_key())
        .with_bucket_name(storage.bucket())
        .with_allow_http(true)
        .build()
        .expect("a client");
    let error = stranger.get(&Path::from("a")).await.expect_err("refused");
    assert!(format!("{error:?}").contains("InvalidAccessKeyId"), "{error:?}");
}

#[tokio::test]
async fn a_presigned_url_needs_no_keys() {
    let (storage, client) = started().await;
    client.put(&Path::from("a b"), "hello".into()).await.expect("written");
    let url =
        client.signed_url(Method::GET, &Path::from("a b"), Duration::from_secs(60)).await.expect("a URL");
    let path = url.as_str().strip_prefix(&storage.endpoint()).expect("it leads here");
    let address = storage.address();
    let answer = send(address, request(address, Method::GET, path, &[], "")).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"hello"[..]));
}

#[tokio::test]
async fn the_orchestrator_offers_it_with_no_set_up() {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let storage = orchestrator.storage().expect("it has one");
    let address = storage.address();
    let client = client(storage, "avtomatika-payloads", storage.secret_key());
    client.put(&Path::from("a"), "x".into()).await.expect("written");
    orchestrator.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err(), "it ended with the orchestrator");

    let without = DevOrchestrator::start(Settings::new().without_storage()).await.expect("a free port");
    assert!(without.storage().is_none());
}

#[tokio::test]
async fn settings_are_obeyed() {
    let settings = S3Settings::new().with_keys("me", "my secret").with_bucket("pictures");
    let storage = LocalS3::start(settings).await.expect("a free port");
    assert_eq!((storage.access_key(), storage.secret_key()), ("me", "my secret"));
    storage.put("pictures", "a", "x").await.expect("the bucket is there");
    assert_eq!(
        storage.put("others", "a", "x").await.expect_err("no bucket").kind(),
        std::io::ErrorKind::NotFound
    );
    let error = storage.create_bucket("pictures").expect_err("it is there");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    let error = LocalS3::start(S3Settings::new().with_bucket("No Bucket")).await.expect_err("no name");
    assert!(error.to_string().contains("`No Bucket`, expected 3 to 63"), "{error}");
    assert!(!format!("{storage:?}").contains("my secret"));
}

#[tokio::test]
async fn nothing_is_left_on_disk_and_no_client_delays_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = S3Settings::new().with_directory(directory.path());
    let storage = LocalS3::start(settings).await.expect("a free port");
    storage.put(storage.bucket(), "a", "x").await.expect("written");
    assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 1);
    let mut stream = TcpStream::connect(storage.address()).await.expect("it listens");
    stream.write_all(b"PUT /avtomatika-payloads/b HTTP/1.1\r\nhost: x\r\ncontent-").await.expect("written");
    let start = Stopwatch::start();
    storage.shutdown().await;
    assert!(start.took().is_below(Duration::from_secs(10)), "{:?}", start.took());
    assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
}
