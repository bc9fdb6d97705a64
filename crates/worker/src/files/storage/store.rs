//! The store of one bucket.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3;
#[cfg(any(test, feature = "testing"))]
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, PutPayload, Result};

use super::listing;

/// The operations on a store: on whole objects, and on parts of them in any order.
pub(in crate::files) trait Store: ObjectStore + MultipartStore {
    /// Returns the content of a request made of these pieces.
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload;

    /// Lists all objects with a prefix.
    fn list_all(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list(prefix)
    }
}

impl Store for AmazonS3 {
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload {
        pieces.into_iter().collect()
    }

    fn list_all(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        listing::list_all(self, prefix)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Store for InMemory {
    /// A copy: the store would keep the pieces, which are to be reused.
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload {
        pieces.concat().into()
    }
}
