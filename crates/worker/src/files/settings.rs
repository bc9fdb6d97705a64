//! Settings of the storage, and of the cache of its objects.

use std::path::PathBuf;

use rxon::transport::http::Proxies;

use crate::config::{Address, Secret};

/// The cache of inputs. Cheap to clone.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "only the storage reads it"))]
pub(crate) struct Cache {
    /// `WORKER_BLOB_CACHE_DIR`.
    pub(crate) directory: PathBuf,
    /// The most bytes in the cache.
    pub(crate) limit: u64,
}

/// The settings of the storage.
#[derive(Debug)]
#[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "only the storage reads it"))]
pub(crate) struct StorageSettings {
    /// `S3_ENDPOINT_URL`.
    pub(crate) endpoint: Address,
    /// `S3_ACCESS_KEY` and `S3_SECRET_KEY`, if both are set.
    pub(crate) keys: Option<(Secret, Secret)>,
    /// `S3_DEFAULT_BUCKET`.
    pub(crate) bucket: String,
    /// `S3_REGION`.
    pub(crate) region: String,
    /// `TLS_CA_PATH`.
    pub(crate) tls_ca_path: Option<PathBuf>,
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    pub(crate) proxies: Proxies,
}
