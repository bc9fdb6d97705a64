//! Settings of the files of tasks and of their storage.

use std::path::PathBuf;

use rxon::WorkerId;
use rxon::transport::http::Proxies;

use crate::config::{Address, Secret};

/// The settings of the files of tasks.
#[derive(Debug)]
pub(crate) struct FilesSettings {
    /// `TASK_FILES_DIR`.
    pub(crate) directory: PathBuf,
    /// `WORKER_ID`, if it is set.
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) cache: Option<CacheSettings>,
}

#[cfg(test)]
impl FilesSettings {
    /// Settings with this directory only.
    pub(crate) fn of_directory(directory: &std::path::Path) -> Self {
        Self { directory: directory.to_owned(), worker_id: None, cache: None }
    }
}

/// The settings of the cache of inputs.
#[derive(Debug)]
#[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "only the storage reads it"))]
pub(crate) struct CacheSettings {
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
