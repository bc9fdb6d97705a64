//! What a test puts into the storage, and what it finds there.

use object_store::ObjectStoreExt;

use super::Files;
use super::error::{FileError, FileErrorKind};
use super::storage::{Storage, storage_error};

impl Files {
    fn storage(&self) -> Result<&Storage, FileError> {
        self.storage.as_ref().ok_or_else(|| FileError::new(FileErrorKind::NoStorage, "there is no storage"))
    }

    pub(crate) async fn put_object(&self, uri: &str, content: Vec<u8>) -> Result<(), FileError> {
        let storage = self.storage()?;
        let at = storage.locate(uri)?;
        let put = at.store.put(&at.path, content.into()).await;
        put.map(|_| ()).map_err(|error| storage_error(uri, &error))
    }

    pub(crate) async fn object(&self, uri: &str) -> Result<Option<Vec<u8>>, FileError> {
        let storage = self.storage()?;
        let at = storage.locate(uri)?;
        let found = async { at.store.get(&at.path).await?.bytes().await }.await;
        match found {
            Ok(content) => Ok(Some(content.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(storage_error(uri, &error)),
        }
    }
}
