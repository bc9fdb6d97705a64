//! The keys of a role, which are fetched and change, and the masking of all keys.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, Result};
use rxon::secrets::Secrets;

use super::failure::s3_error;
use crate::config::{KEY, Secret, is_key};
use crate::threads::lock;

/// The most fetched keys that are masked. They change, and the last ones count.
const MAX_FETCHED: usize = 12;

/// The configured keys and the last fetched keys, masked in all texts until this is dropped.
#[derive(Debug)]
pub(super) struct MaskedKeys {
    _configured: Secrets,
    fetched: Mutex<VecDeque<String>>,
    masked: Secrets,
}

impl MaskedKeys {
    pub(super) fn new(configured: &[Secret]) -> Self {
        let configured = configured.iter().map(|key| key.expose().to_owned());
        Self { _configured: Secrets::new(configured), fetched: Mutex::default(), masked: Secrets::new([]) }
    }

    /// Adds a fetched key.
    pub(super) fn add(&self, key: &str) {
        let mut fetched = lock(&self.fetched);
        if fetched.iter().any(|known| known == key) {
            return;
        }
        if fetched.len() >= MAX_FETCHED {
            fetched.pop_front();
        }
        fetched.push_back(key.to_owned());
        self.masked.replace(fetched.iter().cloned());
    }
}

/// Fetches the keys of a role, masks them in all texts, and refuses keys that cannot sign a request.
#[derive(Debug)]
pub(super) struct RoleKeys {
    source: AwsCredentialProvider,
    masked: Arc<MaskedKeys>,
}

impl RoleKeys {
    pub(super) fn new(source: AwsCredentialProvider, masked: Arc<MaskedKeys>) -> Self {
        Self { source, masked }
    }
}

#[async_trait]
impl CredentialProvider for RoleKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        // The library panics if a file it reads again has a text that cannot be sent.
        let fetched = AssertUnwindSafe(self.source.get_credential()).catch_unwind().await;
        let keys = fetched.unwrap_or_else(|_| {
            Err(s3_error("the keys of the role cannot be fetched: the request for them cannot be sent"))
        })?;
        let given = [Some(&keys.key_id), Some(&keys.secret_key), keys.token.as_ref()];
        for key in given.into_iter().flatten() {
            self.masked.add(key);
            if !is_key(key) {
                return Err(s3_error(format!("a key of the role cannot be used, expected {KEY}")));
            }
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use object_store::StaticCredentialProvider;
    use rxon::secrets::masked;

    use super::*;

    #[derive(Debug)]
    struct PanickingSource;

    #[async_trait]
    impl CredentialProvider for PanickingSource {
        type Credential = AwsCredential;

        async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
            panic!("as the library does")
        }
    }

    fn keys(token: &str) -> AwsCredentialProvider {
        Arc::new(StaticCredentialProvider::new(AwsCredential {
            key_id: "fetched-id".to_owned(),
            secret_key: "fetched-secret".to_owned(),
            token: Some(token.to_owned()),
        }))
    }

    #[tokio::test]
    async fn fetched_keys_are_masked_and_checked() {
        let masked_keys = Arc::new(MaskedKeys::new(&[]));
        RoleKeys::new(keys("fetched-token"), masked_keys.clone()).get_credential().await.expect("keys");
        assert_eq!(masked("fetched-id fetched-secret fetched-token"), "*** *** ***");
        let error =
            RoleKeys::new(keys("bad\ntoken"), masked_keys.clone()).get_credential().await.expect_err("unfit");
        assert!(error.to_string().contains("cannot be used"), "{error}");
        assert!(RoleKeys::new(Arc::new(PanickingSource), masked_keys).get_credential().await.is_err());
    }

    #[test]
    fn the_number_of_masked_fetched_keys_is_limited() {
        let keys = MaskedKeys::new(&["given-to-it".into()]);
        for number in 0..1000 {
            keys.add(&format!("fetched-{number:04}"));
        }
        assert!(lock(&keys.fetched).len() <= MAX_FETCHED);
        assert_eq!(masked("fetched-0999 fetched-0001 given-to-it"), "*** fetched-0001 ***");
        drop(keys);
        assert_eq!(masked("fetched-0999 given-to-it"), "fetched-0999 given-to-it");
    }
}
