//! How a local S3 is to behave.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The bucket that is always there: the one a worker uploads to unless it is told otherwise.
pub(super) const BUCKET: &str = "avtomatika-payloads";

/// What a [`LocalS3`](crate::LocalS3) is started with. Every setting has a default.
///
/// ```
/// let settings = avtomatika_dev::S3Settings::new().with_keys("me", "my secret").with_bucket("pictures");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct S3Settings {
    pub(super) address: SocketAddr,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) buckets: Vec<String>,
    pub(super) directory: Option<PathBuf>,
}

impl S3Settings {
    /// The defaults: a free port of 127.0.0.1, a secret key that nobody has had before, the bucket
    /// `avtomatika-payloads`, and the system's directory for temporary files.
    pub fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "local-s3-access-key".to_owned(),
            secret_key: random_key(),
            buckets: vec![BUCKET.to_owned()],
            directory: None,
        }
    }

    /// Where to listen; port 0 takes a free one. Default: `127.0.0.1:0`.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The one pair of keys that is taken. By default `local-s3-access-key` and a random secret key.
    #[must_use]
    pub fn with_keys(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.access_key = access_key.into();
        self.secret_key = secret_key.into();
        self
    }

    /// A further bucket that is there from the start. `avtomatika-payloads` always is.
    #[must_use]
    pub fn with_bucket(mut self, name: impl Into<String>) -> Self {
        self.buckets.push(name.into());
        self
    }

    /// In which directory the objects are, while it runs: a new one is made inside it, and removed at the end.
    /// Default: the system's directory for temporary files.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }
}

impl Default for S3Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Settings")
            .field("address", &self.address)
            .field("access_key", &self.access_key)
            .field("secret_key", &"redacted")
            .field("buckets", &self.buckets)
            .field("directory", &self.directory)
            .finish()
    }
}

/// 32 hex digits. A map's hasher is seeded by the system, which is all the randomness that is needed here.
fn random_key() -> String {
    let part = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_never_printed_and_new_every_time() {
        let settings = S3Settings::new();
        assert!(!format!("{settings:?}").contains(&settings.secret_key));
        assert_eq!(settings.secret_key.len(), 32);
        assert_ne!(settings.secret_key, S3Settings::new().secret_key);
    }
}
