//! Operations on objects at any address, outside of tasks.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use rxon::model::FileMetadata;
use rxon::text::excerpt;

use super::Mover;
use super::checks::bare;
use crate::files::error::{FileError, FileErrorKind};
use crate::files::storage::Location;
use crate::files::storage::failure::storage_error;
use crate::files::storage::uri::ObjectUri;

impl Mover {
    /// Uploads a file of the directory to an address.
    pub(in crate::files) async fn upload_to(
        &self,
        name: &Path,
        uri: &str,
    ) -> Result<FileMetadata, FileError> {
        let to = self.locate(uri)?;
        if to.is_prefix {
            let uri = excerpt(uri);
            let message = format!("`{uri}` is the address of a directory, expected that of an object");
            return Err(FileError::unusable(message));
        }
        let name = name.to_owned();
        let found = self.directory.on_thread(move |workspace| workspace.resolve_existing(&name, false));
        let (below, _) = found.await?;
        self.send_file_to(to, below).await
    }

    /// Asks for size and `ETag` of an object; None if it does not exist.
    pub(in crate::files) async fn metadata(&self, uri: &str) -> Result<Option<FileMetadata>, FileError> {
        let at = self.locate(uri)?;
        if at.is_prefix {
            return Ok(None);
        }
        let _turn = self.turn(None, 0).await;
        match self.head(&at).await {
            Ok(meta) => {
                let etag = meta.e_tag.map(|etag| bare(&etag).to_owned());
                Ok(Some(FileMetadata { uri: at.uri, size: Some(meta.size), etag }))
            }
            Err(error) if error.kind() == FileErrorKind::NoObject => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object, or all objects with a prefix. It is no error if there is none.
    pub(in crate::files) async fn delete(&self, uri: &str) -> Result<(), FileError> {
        let at = self.locate(uri)?;
        let _turn = self.turn(None, 0).await;
        let keys = if at.is_prefix {
            at.list().map_ok(|object| object.location).try_collect().await?
        } else {
            vec![at.path.clone()]
        };
        let mut deleted = at.store.delete_stream(stream::iter(keys.into_iter().map(Ok)).boxed());
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(storage_error(&at.uri, &error)),
            }
        }
        Ok(())
    }

    fn locate(&self, uri: &str) -> Result<Location, FileError> {
        self.resources.storage.locate(&ObjectUri::of_user(uri)?)
    }
}
