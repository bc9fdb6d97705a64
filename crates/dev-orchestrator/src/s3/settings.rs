//! The settings of a local S3.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The bucket that always exists: the default bucket of a worker.
pub(super) const BUCKET: &str = "avtomatika-payloads";

/// The settings of a [`LocalS3`](crate::LocalS3). Every setting has a default.
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
    /// Whether the keys were set by the user.
    has_own_keys: bool,
    pub(super) buckets: Vec<String>,
    pub(super) directory: Option<PathBuf>,
    pub(super) allowed_hosts: Vec<String>,
}

impl S3Settings {
    /// The defaults: a free port of 127.0.0.1, a random secret key, the bucket `avtomatika-payloads`, and the system's
    /// directory for temporary files.
    pub fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "local-s3-access-key".to_owned(),
            secret_key: random_key(),
            has_own_keys: false,
            buckets: vec![BUCKET.to_owned()],
            directory: None,
            allowed_hosts: Vec::new(),
        }
    }

    /// The address to listen on; port 0 takes a free port. Default: `127.0.0.1:0`.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The accepted pair of keys. Default: `local-s3-access-key` and a random secret key; with
    /// [`Settings::with_state`](crate::Settings::with_state) the keys of the state.
    #[must_use]
    pub fn with_keys(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.access_key = access_key.into();
        self.secret_key = secret_key.into();
        self.has_own_keys = true;
        self
    }

    /// Uses these keys unless others were set.
    pub(crate) fn with_default_keys(self, (access_key, secret_key): (&str, &str)) -> Self {
        if self.has_own_keys { self } else { self.with_keys(access_key, secret_key) }
    }

    /// The keys, which are masked wherever they are shown.
    pub(crate) fn keys(&self) -> [&str; 2] {
        [&self.access_key, &self.secret_key]
    }

    /// Adds a bucket that exists from the start, in addition to `avtomatika-payloads`.
    #[must_use]
    pub fn with_bucket(mut self, name: impl Into<String>) -> Self {
        self.buckets.push(name.into());
        self
    }

    /// The directory for the objects: the storage creates a new directory inside it, and removes that at its end.
    /// Default: the system's directory for temporary files. With
    /// [`Settings::with_state`](crate::Settings::with_state) it is not used: the objects are in the directory of the state.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Adds a host name under which clients may call it, such as that of a container. Loopback addresses and the address
    /// it listens on are always allowed, and so are the names of the orchestrator that it belongs to.
    #[must_use]
    pub fn with_allowed_host(mut self, host: impl Into<String>) -> Self {
        self.allowed_hosts.push(host.into());
        self
    }

    pub(crate) fn with_allowed_hosts(mut self, hosts: &[String]) -> Self {
        self.allowed_hosts.extend_from_slice(hosts);
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
            .field("has_own_keys", &self.has_own_keys)
            .field("buckets", &self.buckets)
            .field("directory", &self.directory)
            .field("allowed_hosts", &self.allowed_hosts)
            .finish()
    }
}

/// Returns 32 random hexadecimal digits. The hasher of a map is seeded by the system, which is random enough here.
fn random_key() -> String {
    let part = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_random_and_never_printed() {
        let settings = S3Settings::new();
        assert!(!format!("{settings:?}").contains(&settings.secret_key));
        assert_eq!(settings.secret_key.len(), 32);
        assert_ne!(settings.secret_key, S3Settings::new().secret_key);
    }
}
