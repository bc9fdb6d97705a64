//! Keys that others give, and that change: those of a role.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, Error, Result};

use super::held::HeldKeys;
use crate::config::{KEY, is_key};

/// Fetches keys, takes note of what must not be told, and lets nothing through that no request can be signed with.
#[derive(Debug)]
pub(super) struct Fetched {
    source: AwsCredentialProvider,
    held: Arc<HeldKeys>,
}

impl Fetched {
    pub(super) fn new(source: AwsCredentialProvider, held: Arc<HeldKeys>) -> Self {
        Self { source, held }
    }
}

#[async_trait]
impl CredentialProvider for Fetched {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        // The library expects what it reads anew from files to be fit for requests.
        let fetched = AssertUnwindSafe(self.source.get_credential()).catch_unwind().await;
        let keys = fetched.unwrap_or_else(|_| {
            Err(error("keys cannot be fetched: what they are asked for with cannot be sent".to_owned()))
        })?;
        let given = [Some(&keys.key_id), Some(&keys.secret_key), keys.token.as_ref()];
        for key in given.into_iter().flatten() {
            self.held.add(key);
            if !is_key(key) {
                return Err(error(format!("keys were fetched that cannot be used, expected {KEY}")));
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
    struct Panics;

    #[async_trait]
    impl CredentialProvider for Panics {
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
    async fn fetched_keys_are_hidden_and_fit_for_requests() {
        let held = Arc::new(HeldKeys::new(&[]));
        Fetched::new(keys("fetched-token"), held.clone()).get_credential().await.expect("keys");
        assert_eq!(masked("fetched-id fetched-secret fetched-token"), "*** *** ***");
        let error = Fetched::new(keys("bad\ntoken"), held.clone()).get_credential().await.expect_err("unfit");
        assert!(error.to_string().contains("cannot be used"), "{error}");
        assert!(Fetched::new(Arc::new(Panics), held).get_credential().await.is_err());
    }
}
