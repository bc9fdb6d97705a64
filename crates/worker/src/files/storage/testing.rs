//! Objects that a test puts into the storage, and reads from it.

use object_store::ObjectStoreExt;

use super::Storage;
use super::failure::storage_error;
use super::uri::ObjectUri;
use crate::files::error::FileError;

impl Storage {
    pub(crate) async fn put_object(&self, uri: &str, content: Vec<u8>) -> Result<(), FileError> {
        let at = self.locate(&ObjectUri::of_user(uri)?)?;
        let put = at.store.put(&at.path, content.into()).await;
        put.map(|_| ()).map_err(|error| storage_error(uri, &error))
    }

    pub(crate) async fn object(&self, uri: &str) -> Result<Option<Vec<u8>>, FileError> {
        let at = self.locate(&ObjectUri::of_user(uri)?)?;
        let found = async { at.store.get(&at.path).await?.bytes().await }.await;
        match found {
            Ok(content) => Ok(Some(content.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(storage_error(uri, &error)),
        }
    }
}
