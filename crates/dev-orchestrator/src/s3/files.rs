//! The objects for the API for people, without signatures.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use s3s::S3Error;

use super::conditions::Conditions;
use super::content::{self, Broken};
use super::digests::{self, Declared};
use super::listing::{Query, page};
use super::store::{Attributes, Buckets, Object};

/// The objects of a storage. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Files(pub(super) Arc<Buckets>);

/// An object, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct File(Arc<Object>);

/// An object in a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    /// In seconds since 1970.
    pub(crate) modified_at: f64,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct FilePage {
    pub(crate) entries: Vec<Entry>,
    /// The key after which the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

/// The size and the `ETag` of a stored object.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    pub(crate) etag: String,
}

/// The reason why an object could not be stored or found.
#[derive(Debug)]
pub(crate) enum FileError<E> {
    /// There is no such bucket or object.
    Unknown(String),
    /// The body ended early.
    Body(E),
    /// The disk cannot be written to.
    Disk(io::Error),
}

impl Files {
    /// Stores an object.
    pub(crate) async fn put<E>(
        &self,
        bucket: &str,
        key: String,
        content_type: Option<String>,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Stored, FileError<E>> {
        // Checked before the body, which may be large.
        self.0.look(bucket, |_| Ok(())).map_err(unknown)?;
        let declared = Declared::default();
        let received = content::receive(&self.0.folder, body, declared.digests()).await;
        let received = received.map_err(|broken| match broken {
            Broken::Body(error) => FileError::Body(error),
            Broken::Disk(error) => FileError::Disk(error),
        })?;
        let etag = digests::of_one(declared.verify(received.digests).map_err(unknown)?);
        let object = Object {
            etag: etag.clone(),
            size: received.size,
            modified: SystemTime::now(),
            segments: received.segment.into_iter().collect(),
            attributes: Attributes { content_type, ..Attributes::default() },
        };
        self.0.put(bucket, key, object, &Conditions::default()).map_err(unknown)?;
        Ok(Stored { size: received.size, etag })
    }

    /// Opens an object.
    pub(crate) fn open(&self, bucket: &str, key: &str) -> Result<File, String> {
        self.0.object(bucket, key).map(File).map_err(|error| text(&error))
    }

    /// Returns the objects whose keys begin with `prefix` and come after `after`, at most `limit`.
    pub(crate) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<FilePage, String> {
        let query = Query { prefix, after, limit, delimiter: "" };
        let found = self.0.look(bucket, |bucket| {
            let page = page(&bucket.objects, query);
            let entries = page.objects.into_iter().map(|(key, object)| Entry {
                key: key.to_owned(),
                size: object.size,
                etag: object.etag.clone(),
                modified_at: object
                    .modified
                    .duration_since(UNIX_EPOCH)
                    .map_or(0.0, |since| since.as_secs_f64()),
            });
            Ok(FilePage { entries: entries.collect(), next: page.next.map(str::to_owned) })
        });
        found.map_err(|error| text(&error))
    }
}

impl File {
    /// The `ETag` without quotes.
    pub(crate) fn etag(&self) -> &str {
        &self.0.etag
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    /// Returns the bytes of a range.
    pub(crate) fn bytes(
        &self,
        range: Range<u64>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<> {
        content::read(self.0.segments.clone(), range)
    }

    /// Returns at most this many bytes of the beginning.
    pub(crate) async fn beginning(&self, length: u64) -> io::Result<Bytes> {
        let pieces = self.bytes(0..length.min(self.size())).boxed();
        let whole = pieces.try_fold(BytesMut::new(), |mut whole, piece| async move {
            whole.extend_from_slice(&piece);
            Ok(whole)
        });
        Ok(whole.await?.freeze())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
fn unknown<E>(error: S3Error) -> FileError<E> {
    FileError::Unknown(text(&error))
}

fn text(error: &S3Error) -> String {
    error.message().map_or_else(|| error.code().as_str().to_owned(), str::to_owned)
}
