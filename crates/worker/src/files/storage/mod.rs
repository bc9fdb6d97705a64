//! The storage: one store for each bucket, over one HTTP client.

mod answer;
mod credentials;
mod failure;
mod fetched;
mod held;
mod http;
mod listing;
mod profile;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder};
#[cfg(any(test, feature = "testing"))]
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::{self, Path};
use object_store::{BackoffConfig, ObjectMeta, ObjectStore, PutPayload, RetryConfig};
use reqwest::Url;
use rxon::secrets::masked;
use rxon::text::excerpt;

use self::credentials::Credentials;
pub(super) use self::failure::storage_error;
use self::fetched::Fetched;
use self::held::HeldKeys;
use self::http::Client;
use super::error::{FileError, FileErrorKind};
use crate::config::{ConfigError, Problem, WorkerConfig};
use crate::threads::lock;

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

    /// All objects below a prefix.
    fn listed(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.list(prefix)
    }
}

impl Store for AmazonS3 {
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload {
        pieces.into_iter().collect()
    }

    fn listed(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        listing::listed(self, prefix)
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
    /// Keys that are fetched are those of all buckets.
    fetched: OnceLock<Arc<Fetched>>,
    held: Arc<HeldKeys>,
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
        let endpoint = without_credentials(address.expose());
        // What only the storage's client cannot read would be a panic of each task.
        if Url::parse(&endpoint).is_err() {
            return Err(problem("S3_ENDPOINT_URL", &address.to_string(), "the address of a storage"));
        }
        let credentials = Credentials::find(config)?;
        let held = HeldKeys::new(&credentials.secrets());
        let client =
            Client::new(config).map_err(|error| ConfigError::new(vec![config.tls_problem(&error)]))?;
        let region = config.s3_region.trim().to_owned();
        let backend = Backend::S3 { endpoint, region, credentials, client };
        Ok(Some(Self::over(backend, config.s3_default_bucket.clone(), held)))
    }

    /// Buckets in memory, which last as long as this.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn in_memory(bucket: &str) -> Self {
        Self::over(Backend::Memory, bucket.to_owned(), HeldKeys::new(&[]))
    }

    fn over(backend: Backend, bucket: String, held: HeldKeys) -> Self {
        Self { backend, stores: Mutex::default(), fetched: OnceLock::new(), held: Arc::new(held), bucket }
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
        let failed = |error| {
            FileError::new(FileErrorKind::Other, format!("no store for the bucket `{bucket}`"))
                .because(masked(&format!("{error}")))
        };
        if !matches!(credentials, Credentials::Role(_)) {
            return Ok(Arc::new(credentials.give_to(builder).build().map_err(failed)?));
        }
        if self.fetched.get().is_none() {
            let source = credentials.give_to(builder.clone()).build().map_err(failed)?.credentials().clone();
            let _ = self.fetched.set(Arc::new(Fetched::new(source, self.held.clone())));
        }
        let fetched = self.fetched.get().expect("it was made just now").clone();
        Ok(Arc::new(builder.with_credentials(fetched).build().map_err(failed)?))
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
