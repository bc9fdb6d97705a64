//! The storage: one store for each bucket, over one HTTP client.

mod credentials;
mod http;

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
#[cfg(any(test, feature = "testing"))]
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::{self, Path};
use object_store::{BackoffConfig, Error, ObjectStore, PutPayload, RetryConfig};

use self::credentials::Credentials;
use self::http::Client;
use super::error::{FileError, FileErrorKind};
use super::name::shown;
use crate::config::{ConfigError, Problem, WorkerConfig};
use crate::pace::lock;

/// Stores that are kept; hostile tasks may name any number of buckets.
const MAX_STORES: usize = 64;

/// Each request is tried so often again; the delays double from 0.2 s to 5 s.
const RETRIES: usize = 5;

/// No further try begins after this time.
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// What is asked of a store: objects, and parts of them in any order.
pub(super) trait Store: ObjectStore + MultipartStore {
    /// What is sent to it.
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload;
}

impl Store for AmazonS3 {
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload {
        pieces.into_iter().collect()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Store for InMemory {
    /// It would keep the pieces themselves, which are wanted back.
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload {
        pieces.concat().into()
    }
}

/// Where an object, or all objects with a prefix, are.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) uri: String,
    pub(super) store: Arc<dyn Store>,
    /// The key, or the prefix without its last `/`.
    pub(super) path: Path,
    pub(super) is_prefix: bool,
}

/// The storage of `S3_ENDPOINT_URL`.
#[derive(Debug)]
pub(crate) struct Storage {
    backend: Backend,
    stores: Mutex<HashMap<String, Arc<dyn Store>>>,
    /// Where results are uploaded to.
    pub(super) bucket: String,
}

#[derive(Debug)]
enum Backend {
    S3 {
        endpoint: String,
        region: String,
        credentials: Credentials,
        client: Client,
    },
    /// Buckets in memory.
    #[cfg(any(test, feature = "testing"))]
    Memory,
}

impl Storage {
    /// The storage of a configuration; None without one.
    pub(crate) fn new(config: &WorkerConfig) -> Result<Option<Self>, ConfigError> {
        let Some(address) = &config.s3_endpoint_url else { return Ok(None) };
        let problem = |variable: &str, value: &str, expected: &str| {
            ConfigError::new(vec![Problem::new(variable, value, expected)])
        };
        if let Err(why) = bucket_name(&config.s3_default_bucket) {
            return Err(problem("S3_DEFAULT_BUCKET", &config.s3_default_bucket, why));
        }
        let client =
            Client::new(config).map_err(|error| ConfigError::new(vec![config.tls_problem(&error)]))?;
        let backend = Backend::S3 {
            endpoint: without_credentials(address.expose()),
            region: config.s3_region.clone(),
            credentials: Credentials::find(config)?,
            client,
        };
        Ok(Some(Self::over(backend, config.s3_default_bucket.clone())))
    }

    /// Buckets in memory, which last as long as this.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn in_memory(bucket: &str) -> Self {
        Self::over(Backend::Memory, bucket.to_owned())
    }

    fn over(backend: Backend, bucket: String) -> Self {
        Self { backend, stores: Mutex::default(), bucket }
    }

    /// Where a URI leads.
    pub(super) fn locate(&self, uri: &str) -> Result<Location, FileError> {
        let (bucket, key) = parse(uri).ok_or_else(|| {
            let message =
                format!("`{}` is no address of an object, expected `s3://bucket/key`", excerpt(uri));
            FileError::new(FileErrorKind::Unusable, message)
        })?;
        let store = self.store(bucket)?;
        let is_prefix = key.is_empty() || key.ends_with('/');
        let path = exact(key).map_err(|error| unusable_key(uri, key, &error))?;
        Ok(Location { uri: uri.to_owned(), store, path, is_prefix })
    }

    /// Where something is uploaded to.
    pub(super) fn destination(&self, key: &str) -> Result<Location, FileError> {
        self.locate(&format!("s3://{}/{key}", self.bucket))
    }

    pub(super) fn store(&self, bucket: &str) -> Result<Arc<dyn Store>, FileError> {
        bucket_name(bucket).map_err(|expected| {
            let message = format!("the bucket `{}` cannot be one, expected {expected}", excerpt(bucket));
            FileError::new(FileErrorKind::Unusable, message)
        })?;
        let mut stores = lock(&self.stores);
        if let Some(store) = stores.get(bucket) {
            return Ok(store.clone());
        }
        let made = self.make(bucket)?;
        if stores.len() >= MAX_STORES {
            stores.clear();
        }
        stores.insert(bucket.to_owned(), made.clone());
        Ok(made)
    }

    fn make(&self, bucket: &str) -> Result<Arc<dyn Store>, FileError> {
        let (endpoint, region, credentials, client) = match &self.backend {
            Backend::S3 { endpoint, region, credentials, client } => (endpoint, region, credentials, client),
            #[cfg(any(test, feature = "testing"))]
            Backend::Memory => return Ok(Arc::new(InMemory::new())),
        };
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(200),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: RETRIES,
            retry_timeout: RETRY_LIMIT,
        };
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_region(region)
            .with_bucket_name(bucket)
            .with_allow_http(true)
            .with_retry(retry)
            .with_http_connector(client.clone());
        let store = credentials.give_to(builder).build().map_err(|error| {
            FileError::new(FileErrorKind::Other, format!("no store for the bucket `{bucket}`")).because(error)
        })?;
        Ok(Arc::new(store))
    }
}

/// Bucket and key of `s3://bucket/key`; the key of a whole bucket is empty.
pub(super) fn parse(uri: &str) -> Option<(&str, &str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty()).then_some((bucket, key))
}

/// A key as the library has it, if it is the same key there.
fn exact(key: &str) -> Result<Path, path::Error> {
    let path = Path::parse(key)?;
    if path.as_ref() == key.strip_suffix('/').unwrap_or(key) {
        Ok(path)
    } else {
        Err(path::Error::EmptySegment { path: key.to_owned() })
    }
}

fn unusable_key(uri: &str, key: &str, error: &path::Error) -> FileError {
    // What would lead out of a directory is told apart from what is merely strange.
    let leads_out = key.split('/').any(|part| part == ".." || part.contains('\0'));
    let kind = if leads_out { FileErrorKind::Forbidden } else { FileErrorKind::Unusable };
    let why = match error {
        path::Error::EmptySegment { .. } => "an empty part",
        _ => "a part that is `.` or `..`, or a control character",
    };
    FileError::new(kind, format!("the key of `{}` has {why} in it, and cannot be used", excerpt(uri)))
}

/// What the storage said about an object.
pub(super) fn storage_error(uri: &str, error: &Error) -> FileError {
    let uri = excerpt(uri);
    match (error, status_in(error)) {
        (Error::NotFound { .. }, _) | (Error::Generic { .. }, Some(404)) => {
            let is_bucket = error.to_string().contains("NoSuchBucket");
            let what = if is_bucket { "the bucket of " } else { "" };
            FileError::new(FileErrorKind::NoObject, format!("{what}`{uri}` does not exist"))
        }
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
        | (Error::Generic { .. }, Some(401 | 403)) => {
            let message = format!(
                "the storage denies access to `{uri}`: check `S3_ACCESS_KEY`, `S3_SECRET_KEY` and what they permit"
            );
            FileError::new(FileErrorKind::Denied, message).because(said(error))
        }
        (Error::Precondition { .. }, _) => {
            FileError::new(FileErrorKind::Integrity, format!("`{uri}` changed while it was read"))
        }
        (Error::InvalidPath { source }, _) => {
            let key = match source {
                path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => path.as_str(),
                _ => "",
            };
            let mut error = unusable_key(&format!("{uri}…{key}"), key, source);
            error = error.because(format!("it stands in the listing of `{uri}`"));
            error
        }
        _ => FileError::new(FileErrorKind::Unavailable, format!("the storage failed over `{uri}`"))
            .because(said(error)),
    }
}

/// The status that the storage answered with. Errors of listings have it in their text only.
fn status_in(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.split_once("non-2xx status code: ")?.1.get(..3)?.parse().ok()
}

/// The innermost causes say most, and every one says the next again.
fn said(error: &Error) -> String {
    const LONGEST: usize = 400;
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    let cut: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{cut}…") } else { cut }
}

/// A name for messages.
pub(super) fn excerpt(text: &str) -> String {
    shown(std::path::Path::new(text))
}

/// What may stand for a bucket in an address.
fn bucket_name(bucket: &str) -> Result<(), &'static str> {
    let fits = bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let fits = fits && (1..=255).contains(&bucket.len()) && !bucket.starts_with('.');
    if fits { Ok(()) } else { Err("1 to 255 of `a-z A-Z 0-9 . _ -`, not beginning with a dot") }
}

/// Credentials in the address are no business of S3's, and would be shown in errors.
fn without_credentials(address: &str) -> String {
    let address = address.trim().trim_end_matches('/');
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(uri: &str) -> Result<(String, bool), FileErrorKind> {
        let located = Storage::in_memory("b").locate(uri);
        located.map(|found| (found.path.to_string(), found.is_prefix)).map_err(|error| error.kind())
    }

    #[test]
    fn keys_are_taken_as_they_are_or_not_at_all() {
        for (uri, path, is_prefix) in [
            ("s3://b/a%20b/c", "a%20b/c", false),
            ("s3://b/é ?#&+", "é ?#&+", false),
            ("s3://b/dir/", "dir", true),
            ("s3://b/", "", true),
        ] {
            assert_eq!(kind(uri), Ok((path.to_owned(), is_prefix)), "{uri}");
        }
        for (uri, expected) in [
            ("s3://b//a", FileErrorKind::Unusable),
            ("s3://b/a//b", FileErrorKind::Unusable),
            ("s3://b/a//", FileErrorKind::Unusable),
            ("s3://b/./a", FileErrorKind::Unusable),
            ("s3://b/a\u{7}", FileErrorKind::Unusable),
            ("s3://b/../a", FileErrorKind::Forbidden),
            ("s3://b/a/..", FileErrorKind::Forbidden),
            ("s3://b/a\0", FileErrorKind::Forbidden),
            ("s3://../a", FileErrorKind::Unusable),
            ("s3://a?b/c", FileErrorKind::Unusable),
            ("s3://b", FileErrorKind::Unusable),
            ("https://b/a", FileErrorKind::Unusable),
        ] {
            assert_eq!(kind(uri), Err(expected), "{uri}");
        }
    }

    #[test]
    fn no_number_of_buckets_fills_the_memory() {
        let storage = Storage::in_memory("b");
        for number in 0..1000 {
            storage.store(&format!("b{number}")).expect("a store");
        }
        assert!(lock(&storage.stores).len() <= MAX_STORES);
    }

    #[test]
    fn an_address_keeps_no_credentials() {
        assert_eq!(without_credentials("http://user:pass@host:9000/base/"), "http://host:9000/base");
        assert_eq!(without_credentials(" https://s3.example.com "), "https://s3.example.com");
    }
}
