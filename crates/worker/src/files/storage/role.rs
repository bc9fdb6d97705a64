//! The keys of a role, which are fetched and change.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, Error, Result};

use super::masked_keys::MaskedKeys;
use crate::config::{KEY, is_key};

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
            Err(error(
                "the keys of the role cannot be fetched: the request for them cannot be sent".to_owned(),
            ))
        })?;
        let given = [Some(&keys.key_id), Some(&keys.secret_key), keys.token.as_ref()];
        for key in given.into_iter().flatten() {
            self.masked.add(key);
            if !is_key(key) {
                return Err(error(format!("a key of the role cannot be used, expected {KEY}")));
            }
        }
        Ok(keys)
    }
}

fn error(text: String) -> Error {
    Error::Generic { store: "S3", source: text.into() }
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
}
