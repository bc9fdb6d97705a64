//! The store of one bucket, and the listing of all objects with a prefix, page by page.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
#[cfg(any(test, feature = "testing"))]
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, PutPayload, Result};

use super::failure::s3_error;

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
        list_all(self, prefix)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Store for InMemory {
    /// A copy: the store would keep the pieces, which are to be reused.
    fn payload(&self, pieces: Vec<Bytes>) -> PutPayload {
        pieces.concat().into()
    }
}

/// The most empty pages in a row. A storage may send empty pages after many objects were deleted.
const MAX_EMPTY_PAGES: usize = 10_000;

/// The pages so far.
#[derive(Debug, Default)]
struct Pages {
    /// Hashes of keys and tokens, because there may be many pages.
    seen: HashSet<u64>,
    empty: usize,
}

impl Pages {
    /// Adds a page: its first key, and the token of the next page. The error is the sign of a listing that repeats itself.
    fn add(&mut self, first: Option<&str>, token: Option<&str>) -> std::result::Result<(), &'static str> {
        if first.is_some_and(|key| !self.is_new("key", key)) {
            return Err("the same keys came again");
        }
        if token.is_some_and(|token| !self.is_new("token", token)) {
            return Err("the same `NextContinuationToken` came again");
        }
        self.empty = if first.is_some() { 0 } else { self.empty + 1 };
        if self.empty > MAX_EMPTY_PAGES {
            return Err("10000 empty pages came in a row");
        }
        Ok(())
    }

    fn is_new(&mut self, kind: &str, text: &str) -> bool {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        self.seen.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one((kind, text)))
    }
}

/// Lists all objects below a prefix, taken as a directory; without a prefix, all objects of the bucket.
fn list_all(store: &AmazonS3, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
    let prefix = prefix.filter(|path| !path.as_ref().is_empty()).map(|path| format!("{path}/"));
    let first = Some((None, Pages::default()));
    let store = store.clone();
    let pages = stream::try_unfold(first, move |state| {
        let (store, prefix) = (store.clone(), prefix.clone());
        async move {
            let Some((page_token, mut pages)) = state else { return Ok(None) };
            let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
            let page = store.list_paginated(prefix.as_deref(), options).await?;
            let (objects, token) = (page.result.objects, page.page_token.filter(|token| !token.is_empty()));
            let first = objects.first().map(|object| object.location.as_ref());
            pages
                .add(first, token.as_deref())
                .map_err(|sign| s3_error(format!("the listing of the storage repeats itself: {sign}")))?;
            let next = token.map(|token| (Some(token), pages));
            Ok::<_, Error>(Some((stream::iter(objects.into_iter().map(Ok)), next)))
        }
    });
    pages.try_flatten().boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_that_repeat_themselves_are_errors() {
        let read = |listing: &[(Option<&str>, Option<&str>)]| {
            let mut pages = Pages::default();
            listing.iter().try_for_each(|(first, token)| pages.add(*first, *token))
        };
        assert_eq!(read(&[(Some("a"), Some("b")), (Some("b"), Some("a")), (Some("c"), None)]), Ok(()));
        let same_token = Err("the same `NextContinuationToken` came again");
        assert_eq!(read(&[(None, Some("t")), (None, Some("t"))]), same_token);
        assert_eq!(
            read(&[(Some("a"), Some("t")), (Some("b"), Some("u")), (Some("c"), Some("t"))]),
            same_token
        );
        assert_eq!(
            read(&[(Some("a"), Some("t")), (Some("b"), Some("u")), (Some("a"), None)]),
            Err("the same keys came again")
        );
        let mut pages = Pages::default();
        let ended = (0..).find_map(|page| pages.add(None, Some(&format!("t{page}"))).err());
        assert_eq!(ended, Some("10000 empty pages came in a row"));
    }
}
