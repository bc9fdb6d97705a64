//! Faults of the storage.

use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Fault, FaultSwitch, LocalS3, Settings};
use object_store::ObjectStoreExt as _;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::Signer as _;
use testkit::Stopwatch;

use super::{state, switch_off, switch_on};
use crate::client::{Bytewise, bytewise};
use crate::s3::{client, pattern};

async fn started() -> (DevOrchestrator, AmazonS3) {
    let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
    let storage = storage(&orchestrator);
    let client = client(storage, storage.bucket(), storage.secret_key());
    (orchestrator, client)
}

fn storage(orchestrator: &DevOrchestrator) -> &LocalS3 {
    orchestrator.storage().expect("it has one")
}

/// Fetches an object with a presigned URL, on a connection of its own.
async fn fetch(orchestrator: &DevOrchestrator, client: &AmazonS3, key: &str) -> Bytewise {
    let (address, path) = (storage(orchestrator).address(), Path::from(key));
    let url = client.signed_url(hyper::Method::GET, &path, Duration::from_secs(60)).await.expect("a URL");
    let path = url.as_str().strip_prefix(&storage(orchestrator).endpoint()).expect("it leads here");
    bytewise(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn errors_of_the_storage_come_in_turn() {
    let (orchestrator, client) = started().await;
    client.put(&Path::from("a"), "hello".into()).await.expect("written");
    switch_on(&orchestrator, Fault::StorageError);
    for (status, code) in [(503, "SlowDown"), (500, "InternalError"), (503, "SlowDown")] {
        let answer = fetch(&orchestrator, &client, "a").await.bytes;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("content-type: application/xml\r\n"), "{answer}");
        assert!(answer.contains(&format!("<Error><Code>{code}</Code><Message>")), "{answer}");
    }
    // The whole body is read before it is refused.
    let error = client.put(&Path::from("b"), pattern(8_000_000).into()).await.expect_err("refused");
    assert!(error.to_string().contains("InternalError"), "{error}");
    assert_eq!(state(&orchestrator, Fault::StorageError).hits, 4);
    storage(&orchestrator).get("avtomatika-payloads", "a").await.expect("this process is not hit");
    switch_off(&orchestrator, Fault::StorageError);
    assert_eq!(client.get(&Path::from("a")).await.expect("there").bytes().await.expect("whole"), "hello");
    assert!(client.get(&Path::from("b")).await.is_err(), "nothing was stored");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn an_object_ends_in_the_middle() {
    let (orchestrator, client) = started().await;
    client.put(&Path::from("a"), "0123456789".into()).await.expect("written");
    client.put(&Path::from("large"), pattern(5_000_000).into()).await.expect("written");
    switch_on(&orchestrator, Fault::StorageCut);
    let answer = fetch(&orchestrator, &client, "a").await;
    let (head, body) = answer.bytes.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 10"), "{head}");
    assert_eq!((body, answer.error), ("01234", Some(std::io::ErrorKind::ConnectionReset)));
    let got = match client.get(&Path::from("large")).await {
        Ok(answer) => answer.bytes().await.map(drop),
        Err(error) => Err(error),
    };
    got.expect_err("cut");
    client.put(&Path::from("b"), "stored".into()).await.expect_err("an answer without a body is lost");
    assert_eq!(storage(&orchestrator).get("avtomatika-payloads", "b").await.expect("stored"), "stored");
    switch_off(&orchestrator, Fault::StorageCut);
    let whole = client.get(&Path::from("large")).await.expect("there").bytes().await.expect("whole");
    assert_eq!(whole, pattern(5_000_000));
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn the_storage_is_slow() {
    let (orchestrator, client) = started().await;
    let slow = FaultSwitch::on().with_delay(Duration::from_millis(300));
    orchestrator.set_fault(Fault::StorageSlow, slow).expect("valid");
    let start = Stopwatch::start();
    client.put(&Path::from("a"), "hello".into()).await.expect("written");
    assert!(start.took().is_at_least(Duration::from_millis(300)), "{:?}", start.took());
    orchestrator.shutdown().await;
}
