//! All objects with a prefix, page by page. A storage that goes round in circles is left.

use std::collections::HashSet;
use std::error::Error as StdError;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, Result};

/// A storage may answer with pages on which nothing is, where much was deleted; not for ever.
const MOST_EMPTY_PAGES: usize = 10_000;

/// What was on the pages so far.
#[derive(Debug, Default)]
struct Pages {
    /// Hashes: there may be many pages.
    seen: HashSet<u64>,
    empty: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("the storage goes round in circles in its listing: {0}")]
struct Circle(&'static str);

impl Pages {
    /// Takes note of a page: its first key, and where the listing goes on.
    fn see(&mut self, first: Option<&str>, token: Option<&str>) -> Result<(), Circle> {
        if first.is_some_and(|key| !self.is_new("key", key)) {
            return Err(Circle("the same keys came again"));
        }
        if token.is_some_and(|token| !self.is_new("token", token)) {
            return Err(Circle("the same `NextContinuationToken` came again"));
        }
        self.empty = if first.is_some() { 0 } else { self.empty + 1 };
        if self.empty > MOST_EMPTY_PAGES {
            return Err(Circle("10000 pages came on which is nothing"));
        }
        Ok(())
    }

    fn is_new(&mut self, what: &str, text: &str) -> bool {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        self.seen.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one((what, text)))
    }
}

impl From<Circle> for Error {
    fn from(circle: Circle) -> Self {
        let source: Box<dyn StdError + Send + Sync> = Box::new(circle);
        Self::Generic { store: "S3", source }
    }
}

/// All objects below a prefix, which is a directory's; without one, all of the bucket.
pub(super) fn listed(store: &AmazonS3, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
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
            pages.see(objects.first().map(|object| object.location.as_ref()), token.as_deref())?;
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
    fn circles_are_seen() {
        let see = |listing: &[(Option<&str>, Option<&str>)]| {
            let mut pages = Pages::default();
            listing.iter().try_for_each(|(first, token)| pages.see(*first, *token)).map_err(|circle| circle.0)
        };
        assert_eq!(see(&[(Some("a"), Some("b")), (Some("b"), Some("a")), (Some("c"), None)]), Ok(()));
        let same_token = Err("the same `NextContinuationToken` came again");
        assert_eq!(see(&[(None, Some("t")), (None, Some("t"))]), same_token);
        assert_eq!(
            see(&[(Some("a"), Some("t")), (Some("b"), Some("u")), (Some("c"), Some("t"))]),
            same_token
        );
        assert_eq!(
            see(&[(Some("a"), Some("t")), (Some("b"), Some("u")), (Some("a"), None)]),
            Err("the same keys came again")
        );
        let mut pages = Pages::default();
        let ended = (0..).find_map(|page| pages.see(None, Some(&format!("t{page}"))).err());
        assert_eq!(ended.map(|circle| circle.0), Some("10000 pages came on which is nothing"));
    }
}
