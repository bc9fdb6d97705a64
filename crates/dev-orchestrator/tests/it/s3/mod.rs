//! The local S3, with the client that workers use.

mod doors;
mod keys;
mod objects;
mod uploads;

use avtomatika_dev::{LocalS3, S3Settings};
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, RetryConfig};

use crate::client::{Answer, request, send};

/// Starts a storage on a free port, with a client for its bucket.
async fn started() -> (LocalS3, AmazonS3) {
    let storage = LocalS3::start(S3Settings::new()).await.expect("a free port");
    let client = client(&storage, storage.bucket(), storage.secret_key());
    (storage, client)
}

pub(crate) fn client(storage: &LocalS3, bucket: &str, secret_key: &str) -> AmazonS3 {
    // An error means that another test of this process was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let no_retries = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    AmazonS3Builder::new()
        .with_endpoint(storage.endpoint())
        .with_access_key_id(storage.access_key())
        .with_secret_access_key(secret_key)
        .with_region(storage.region())
        .with_bucket_name(bucket)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_retry(no_retries)
        .build()
        .expect("a client")
}

/// Sends a request without a signature.
async fn unsigned(storage: &LocalS3, method: hyper::Method, path: &str) -> Answer {
    send(storage.address(), request(storage.address(), method, path, &[], "")).await
}

/// Returns this many bytes, no two parts of which are equal.
pub(crate) fn pattern(length: usize) -> Bytes {
    let word = |number: usize| (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(length);
    bytes.into()
}
