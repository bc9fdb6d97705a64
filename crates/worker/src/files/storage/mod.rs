//! The storage: one store for each bucket, over one HTTP client.

mod answer;
mod credentials;
pub(super) mod failure;
mod http;
mod keys;
mod refusal;
mod role;
mod store;
#[cfg(test)]
mod tests;
pub(super) mod uri;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use object_store::aws::AmazonS3Builder;
#[cfg(any(test, feature = "testing"))]
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectMeta, RetryConfig};
#[cfg(feature = "testing")]
use object_store::{GetOptions, PutOptions};
use rxon::secrets::masked;
use rxon::text::excerpt;
use url::Url;

use self::credentials::Credentials;
use self::http::{Client, STANDSTILL_LIMIT};
use self::role::{MaskedKeys, RoleKeys};
use self::store::Store;
use self::uri::{ObjectUri, check_bucket, key_path, unusable_key};
use super::error::{FileError, FileErrorKind};
use super::settings::StorageSettings;
use crate::config::Problem;
use crate::threads::lock;

/// The message of an operation that needs a storage.
pub(super) const NO_STORAGE: &str = "there is no storage: `S3_ENDPOINT_URL` is not set";

/// The most stores that are kept. Hostile tasks may name any number of buckets.
const MAX_STORES: usize = 64;

/// The most retries of a request. The delays double from 0.2 s to 5 s.
const MAX_RETRIES: usize = 5;

/// No retry begins after this time, because a signature counts for 15 minutes. A part may take long on a slow line.
const RETRY_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The location of an object, or of all objects with a prefix.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) uri: String,
    pub(super) store: Arc<dyn Store>,
    /// The key, or the prefix without its last `/`.
    pub(super) path: Path,
    pub(super) is_prefix: bool,
}

impl Location {
    /// Lists all objects below a prefix.
    pub(super) fn list(&self) -> impl Stream<Item = Result<ObjectMeta, FileError>> + Send + use<> {
        let prefix = Some(&self.path).filter(|path| !path.as_ref().is_empty());
        let uri = self.uri.clone();
        self.store.list_all(prefix).map_err(move |error| failure::storage_error(&uri, &error))
    }
}

/// The storage at `S3_ENDPOINT_URL`.
#[derive(Debug)]
pub(crate) struct Storage {
    backend: Backend,
    stores: Mutex<HashMap<String, Arc<dyn Store>>>,
    /// The keys of a role, fetched once for all buckets.
    role_keys: OnceLock<Arc<RoleKeys>>,
    masked: Arc<MaskedKeys>,
    /// The bucket of uploads.
    bucket: String,
    /// `S3_ENDPOINT_URL` without credentials; empty for buckets in memory.
    endpoint: String,
}

#[derive(Debug)]
enum Backend {
    S3 {
        /// Without a bucket and without credentials.
        builder: Box<AmazonS3Builder>,
        credentials: Credentials,
    },
    /// Buckets in memory.
    #[cfg(any(test, feature = "testing"))]
    Memory,
}

impl Storage {
    /// Reads certificates and keys; connects to nothing.
    pub(crate) fn new(settings: StorageSettings) -> Result<Self, Problem> {
        Self::with_limit(settings, STANDSTILL_LIMIT)
    }

    /// Gives a transfer up in which no byte moves for this time.
    fn with_limit(settings: StorageSettings, standstill_limit: Duration) -> Result<Self, Problem> {
        if let Err(expected) = check_bucket(&settings.bucket) {
            return Err(Problem::new("S3_DEFAULT_BUCKET", &settings.bucket, expected));
        }
        let Some(endpoint) = without_credentials(settings.endpoint.expose()) else {
            let address = settings.endpoint.to_string();
            return Err(Problem::new("S3_ENDPOINT_URL", address, "the address of a storage"));
        };
        let credentials = Credentials::find(settings.keys.clone())?;
        let masked = MaskedKeys::new(&credentials.secrets());
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        };
        let builder = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_region(settings.region.trim())
            .with_allow_http(true)
            .with_retry(RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: RETRY_LIMIT })
            .with_http_connector(Client::new(&settings, standstill_limit)?);
        let backend = Backend::S3 { builder: Box::new(builder), credentials };
        Ok(Self { endpoint, ..Self::over(backend, settings.bucket, masked) })
    }

    /// A storage with every bucket, in memory.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn in_memory(bucket: &str) -> Self {
        Self::over(Backend::Memory, bucket.to_owned(), MaskedKeys::new(&[]))
    }

    fn over(backend: Backend, bucket: String, masked: MaskedKeys) -> Self {
        Self {
            backend,
            stores: Mutex::default(),
            role_keys: OnceLock::new(),
            masked: Arc::new(masked),
            bucket,
            endpoint: String::new(),
        }
    }

    /// Returns the address of the storage, without credentials.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the location of an address.
    pub(super) fn locate(&self, uri: &ObjectUri) -> Result<Location, FileError> {
        self.location(uri.as_str().to_owned(), uri.bucket(), uri.key())
    }

    /// Returns the location of an upload.
    pub(super) fn destination(&self, key: &str) -> Result<Location, FileError> {
        self.location(format!("s3://{}/{key}", self.bucket), &self.bucket, key)
    }

    fn location(&self, uri: String, bucket: &str, key: &str) -> Result<Location, FileError> {
        let store = self.store(bucket)?;
        let is_prefix = key.is_empty() || key.ends_with('/');
        let path = key_path(key).map_err(|error| unusable_key(&uri, key, &error))?;
        Ok(Location { uri, store, path, is_prefix })
    }

    fn store(&self, bucket: &str) -> Result<Arc<dyn Store>, FileError> {
        check_bucket(bucket).map_err(|expected| {
            let bucket = excerpt(bucket);
            FileError::unusable(format!("the bucket `{bucket}` has no valid name, expected {expected}"))
        })?;
        let mut stores = lock(&self.stores);
        if let Some(store) = stores.get(bucket) {
            return Ok(store.clone());
        }
        let made = self.make_store(bucket)?;
        if stores.len() >= MAX_STORES {
            stores.clear();
        }
        stores.insert(bucket.to_owned(), made.clone());
        Ok(made)
    }

    fn make_store(&self, bucket: &str) -> Result<Arc<dyn Store>, FileError> {
        let (builder, credentials) = match &self.backend {
            Backend::S3 { builder, credentials } => (builder.clone().with_bucket_name(bucket), credentials),
            #[cfg(any(test, feature = "testing"))]
            Backend::Memory => return Ok(Arc::new(InMemory::new())),
        };
        let failed = |error| {
            FileError::new(FileErrorKind::Other, format!("no store for the bucket `{bucket}`"))
                .because(masked(&format!("{error}")))
        };
        let store = credentials.add_to(builder.clone()).build().map_err(failed)?;
        if !matches!(credentials, Credentials::Role(_)) {
            return Ok(Arc::new(store));
        }
        let role_keys = self
            .role_keys
            .get_or_init(|| Arc::new(RoleKeys::new(store.credentials().clone(), self.masked.clone())));
        Ok(Arc::new(builder.with_credentials(role_keys.clone()).build().map_err(failed)?))
    }
}

/// Objects that a test puts into the storage, and reads from it.
#[cfg(feature = "testing")]
impl Storage {
    pub(crate) async fn put_object(&self, uri: &str, content: Vec<u8>) -> Result<(), FileError> {
        let at = self.locate(&ObjectUri::of_user(uri)?)?;
        let put = at.store.put_opts(&at.path, content.into(), PutOptions::default()).await;
        put.map(|_| ()).map_err(|error| failure::storage_error(uri, &error))
    }

    pub(crate) async fn object(&self, uri: &str) -> Result<Option<Vec<u8>>, FileError> {
        let at = self.locate(&ObjectUri::of_user(uri)?)?;
        let found = async { at.store.get_opts(&at.path, GetOptions::default()).await?.bytes().await }.await;
        match found {
            Ok(content) => Ok(Some(content.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure::storage_error(uri, &error)),
        }
    }
}

/// Returns an address without user and password, which S3 does not use and errors would show. None for a text that the
/// HTTP client cannot read: it would make every task panic.
fn without_credentials(address: &str) -> Option<String> {
    let mut url = Url::parse(address.trim()).ok()?;
    // Fails only for an address that cannot have credentials.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    Some(url.as_str().trim_end_matches('/').to_owned())
}
