//! From the storage into a task's directory.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectMeta};
use rxon::model::FileMetadata;
use rxon::text::excerpt;

use super::buffers::PIECE;
use super::cache::CacheKey;
use super::error::{FileError, FileErrorKind};
use super::name;
use super::storage::{Location, storage_error};
use super::task::TaskFiles;
use super::transfers::Turn;
use super::{PARALLEL, PART_SIZE};

/// What has come of an object is written when there is so much of it. Smaller ones are in one piece of memory.
const WRITE_SIZE: usize = PIECE;

/// One object, before it is fetched.
#[derive(Debug, Clone)]
struct Object {
    at: Location,
    size: u64,
    /// As the storage has it.
    etag: Option<String>,
}

impl Object {
    fn new(at: Location, meta: ObjectMeta) -> Self {
        Self { at, size: meta.size, etag: meta.e_tag }
    }

    /// What the object has to be while it is read. A weak tag never matches, so it says nothing.
    fn condition(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

impl TaskFiles {
    /// Fetches an object, or all that begin with a prefix, and says how many bytes that were.
    pub(super) async fn fetch(
        &self,
        at: &Location,
        below: &Path,
        expected: &[FileMetadata],
    ) -> Result<u64, FileError> {
        if at.is_prefix {
            return self.fetch_prefix(at, below, expected).await;
        }
        match self.fetch_object(at, below, expected).await {
            // Nobody said which version it is to be: the new one is as good, if it stays.
            Err(error) if error.kind() == FileErrorKind::Integrity && expected.is_empty() => {
                tracing::warn!(
                    uri = excerpt(&at.uri),
                    "the object changed while it was read, and is read again"
                );
                self.fetch_object(at, below, expected).await
            }
            fetched => fetched,
        }
    }

    async fn fetch_object(
        &self,
        at: &Location,
        below: &Path,
        expected: &[FileMetadata],
    ) -> Result<u64, FileError> {
        // One turn for both requests. How large it is it says only then: the smaller ones are in memory.
        let turn = self.turn(WRITE_SIZE as u64).await;
        let object = Object::new(at.clone(), self.head(at).await?);
        for expected in expected {
            check_size(&at.uri, object.size, expected)?;
            check_etag(&at.uri, object.etag.as_deref(), expected)?;
        }
        let size = object.size;
        self.fetch_known(object, below.to_owned(), Some(turn)).await?;
        Ok(size)
    }

    /// In a turn of the caller's.
    async fn head(&self, at: &Location) -> Result<ObjectMeta, FileError> {
        let head = at.store.get_opts(&at.path, GetOptions::new().with_head(true)).await;
        head.map(|result| result.meta).map_err(|error| storage_error(&at.uri, &error))
    }

    async fn fetch_prefix(
        &self,
        at: &Location,
        below: &Path,
        expected: &[FileMetadata],
    ) -> Result<u64, FileError> {
        let directory = below.to_owned();
        self.on_thread(move |workspace| workspace.make_directory(&directory)).await?;
        let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let prefix = Some(&at.path).filter(|path| !path.as_ref().is_empty());
        let listed = at.store.listed(prefix).map_err(|error| storage_error(&at.uri, &error));
        let fetched = listed.try_for_each_concurrent(PARALLEL, |meta| {
            bytes.fetch_add(meta.size, Ordering::Relaxed);
            count.fetch_add(1, Ordering::Relaxed);
            let (files, at, below) = (self.clone(), at.clone(), below.to_owned());
            async move { files.fetch_listed(&at, &below, meta).await }
        });
        fetched.await?;
        let (count, bytes) = (count.into_inner(), bytes.into_inner());
        if count == 0 {
            tracing::warn!(
                uri = excerpt(&at.uri),
                "there is no object with this prefix: the directory is empty"
            );
        }
        for expected in expected {
            check_size(&at.uri, bytes, expected)?;
        }
        Ok(bytes)
    }

    async fn fetch_listed(&self, at: &Location, below: &Path, meta: ObjectMeta) -> Result<(), FileError> {
        let key = meta.location.as_ref();
        let rest = key.strip_prefix(at.path.as_ref()).unwrap_or(key);
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        // The marker of the prefix itself: `data/` is listed below `data/`.
        if rest.is_empty() {
            return if meta.size == 0 { Ok(()) } else { Err(no_file(&at.uri)) };
        }
        let below = below.join(name::of_key(rest)?);
        let uri = format!("{}{rest}", at.uri);
        let at = Location { uri, path: meta.location.clone(), is_prefix: false, ..at.clone() };
        // The library drops the `/` at the end of a directory's marker: nothing is there without it.
        if meta.size == 0 {
            let turn = self.turn(0).await;
            let head = self.head(&at).await;
            drop(turn);
            if matches!(head, Err(error) if error.kind() == FileErrorKind::NoObject) {
                return self.on_thread(move |workspace| workspace.make_directory(&below)).await;
            }
        }
        self.fetch_known(Object::new(at, meta), below, None).await
    }

    /// Fetches an object of which size and tag are known, with the turn in which they were asked for.
    async fn fetch_known(
        &self,
        object: Object,
        below: PathBuf,
        mut turn: Option<Turn>,
    ) -> Result<(), FileError> {
        let key = CacheKey::of(&object.at.uri, object.etag.as_deref(), object.size);
        if let Some(kept) = self.cached(key.as_ref()).await? {
            // Copying is no transfer.
            turn = None;
            if self.copy_cached(kept, object.size, &below).await? {
                tracing::debug!(uri = excerpt(&object.at.uri), bytes = object.size, "taken from the cache");
                return Ok(());
            }
        }
        if object.size <= WRITE_SIZE as u64 {
            self.fetch_small(&object, below.clone(), turn).await?;
        } else {
            self.fetch_large(&object, below.clone(), turn).await?;
        }
        self.keep_in_cache(key, below).await;
        Ok(())
    }

    /// In memory first: one step on a thread instead of many.
    async fn fetch_small(
        &self,
        object: &Object,
        below: PathBuf,
        turn: Option<Turn>,
    ) -> Result<(), FileError> {
        if object.size == 0 {
            drop(turn);
            return self.on_thread(move |workspace| workspace.write_new(&below, &[])).await;
        }
        let mut turn = match turn {
            Some(turn) => turn,
            None => self.turn(object.size).await,
        };
        let mut content = self.buffers().lend(&Arc::new(turn.take_memory()));
        let mut incoming = self.incoming(object, 0..object.size, turn).await?;
        while let Some(chunk) = incoming.next().await? {
            content.room(chunk.len()).copy_from_slice(&chunk);
        }
        // The turn is the next one's, the memory is not: a disk that is slower than the storage has to be waited for.
        drop(incoming);
        self.on_thread(move |workspace| workspace.write_new(&below, content.as_ref())).await
    }

    /// In parts, several at once.
    async fn fetch_large(
        &self,
        object: &Object,
        below: PathBuf,
        mut turn: Option<Turn>,
    ) -> Result<(), FileError> {
        // They are written as they come.
        drop(turn.as_mut().map(Turn::take_memory));
        let (part, file) = self.on_thread(super::workspace::Workspace::new_part).await?;
        let mut unnamed = Unnamed { files: self, part: Some(part.clone()) };
        let file = Arc::new(file);
        let ranges = (0..object.size.div_ceil(PART_SIZE))
            .map(|number| number * PART_SIZE..object.size.min((number + 1) * PART_SIZE));
        stream::iter(ranges)
            .map(|range| {
                let (files, object, file, below) =
                    (self.clone(), object.clone(), file.clone(), below.clone());
                let turn = turn.take();
                async move { files.fetch_range(&object, range, &file, &below, turn).await }
            })
            .buffer_unordered(PARALLEL)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        let (uri, size) = (object.at.uri.clone(), object.size);
        self.on_thread(move |workspace| {
            let there = file.metadata().map_err(|error| FileError::io("look at", &below, error))?.len();
            if there != size {
                return Err(ended(&uri, there, size));
            }
            workspace.name_part(&part, &below)
        })
        .await?;
        unnamed.part = None;
        Ok(())
    }

    async fn fetch_range(
        &self,
        object: &Object,
        range: Range<u64>,
        file: &Arc<File>,
        below: &Path,
        turn: Option<Turn>,
    ) -> Result<(), FileError> {
        let (mut at, mut gathered, mut size) = (range.start, Vec::new(), 0);
        let turn = match turn {
            Some(turn) => turn,
            None => self.turn(0).await,
        };
        let mut incoming = self.incoming(object, range, turn).await?;
        while let Some(chunk) = incoming.next().await? {
            size += chunk.len();
            gathered.push(chunk);
            if size >= WRITE_SIZE {
                self.write_at(file, at, std::mem::take(&mut gathered), below).await?;
                at += size as u64;
                size = 0;
            }
        }
        self.write_at(file, at, gathered, below).await
    }

    async fn write_at(
        &self,
        file: &Arc<File>,
        mut at: u64,
        chunks: Vec<Bytes>,
        below: &Path,
    ) -> Result<(), FileError> {
        let (file, below) = (file.clone(), below.to_owned());
        self.on_thread(move |_| {
            for chunk in chunks {
                file.write_all_at(&chunk, at).map_err(|error| FileError::io("write", &below, error))?;
                at += chunk.len() as u64;
            }
            Ok(())
        })
        .await
    }

    /// Asks for a range of an object.
    async fn incoming(&self, object: &Object, range: Range<u64>, turn: Turn) -> Result<Incoming, FileError> {
        let uri = &object.at.uri;
        let is_whole = range == (0..object.size);
        let options = GetOptions::new()
            .with_if_match(object.condition())
            .with_range((!is_whole).then(|| GetRange::Bounded(range.clone())));
        let result = object.at.store.get_opts(&object.at.path, options).await;
        let result = result.map_err(|error| storage_error(uri, &error))?;
        // Not every storage obeys the condition, and none does for a weak tag.
        let tags = (result.meta.e_tag.as_deref(), object.etag.as_deref());
        let is_another = matches!(tags, (Some(now), Some(then)) if bare(now) != bare(then));
        if is_another || result.meta.size != object.size {
            let message = format!("`{}` changed while it was read", excerpt(uri));
            return Err(FileError::new(FileErrorKind::Integrity, message));
        }
        let (uri, files) = (uri.clone(), self.clone());
        let length = range.end - range.start;
        Ok(Incoming { files, uri, chunks: result.into_stream(), came: 0, length, _turn: turn })
    }
}

/// What comes of a range of an object. The library asks again for what is missing when a connection breaks.
struct Incoming {
    files: TaskFiles,
    uri: String,
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
    came: u64,
    length: u64,
    _turn: Turn,
}

impl Incoming {
    /// The next piece; None when there was all of it.
    async fn next(&mut self) -> Result<Option<Bytes>, FileError> {
        let chunk = self.chunks.next().await.transpose().map_err(|error| storage_error(&self.uri, &error))?;
        self.came += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        match chunk {
            Some(chunk) if self.came <= self.length => {
                self.files.came(chunk.len());
                Ok(Some(chunk))
            }
            None if self.came == self.length => Ok(None),
            _ => Err(ended(&self.uri, self.came, self.length)),
        }
    }
}

/// A part without a name is removed when nothing comes of it.
struct Unnamed<'a> {
    files: &'a TaskFiles,
    part: Option<PathBuf>,
}

impl Drop for Unnamed<'_> {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            self.files.afterwards(move |workspace| workspace.remove_part(&part));
        }
    }
}

fn no_file(uri: &str) -> FileError {
    let message = format!("the object `{}` has a key that ends in `/`, and cannot be a file", excerpt(uri));
    FileError::new(FileErrorKind::Unusable, message)
}

fn ended(uri: &str, came: u64, expected: u64) -> FileError {
    let message = format!("of `{}` came {came} bytes, expected {expected}", excerpt(uri));
    FileError::new(FileErrorKind::Unavailable, message)
}

fn check_size(uri: &str, size: u64, expected: &FileMetadata) -> Result<(), FileError> {
    match expected.size {
        Some(expected) if expected != size => {
            let message = format!("`{}` has {size} bytes, expected {expected}", excerpt(uri));
            Err(FileError::new(FileErrorKind::Integrity, message))
        }
        _ => Ok(()),
    }
}

fn check_etag(uri: &str, etag: Option<&str>, expected: &FileMetadata) -> Result<(), FileError> {
    let Some(wanted) = expected.etag.as_deref().map(bare).filter(|etag| !etag.is_empty()) else {
        return Ok(());
    };
    let etag = etag.map(bare).unwrap_or_default();
    if etag == wanted {
        return Ok(());
    }
    let message =
        format!("the ETag of `{}` is `{}`, expected `{}`", excerpt(uri), excerpt(etag), excerpt(wanted));
    Err(FileError::new(FileErrorKind::Integrity, message))
}

/// A tag without quotes, and without what says that it is weak.
pub(super) fn bare(etag: &str) -> &str {
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_weakness_of_tags_do_not_matter() {
        let expected =
            |etag: &str| FileMetadata { uri: String::new(), size: None, etag: Some(etag.to_owned()) };
        for wanted in ["abc", "\"abc\"", "W/\"abc\"", "", "\"\""] {
            for etag in ["abc", "\"abc\"", "W/\"abc\""] {
                assert!(check_etag("s3://b/k", Some(etag), &expected(wanted)).is_ok(), "{etag} {wanted}");
            }
        }
        let error = check_etag("s3://b/k", Some("\"abc\""), &expected("abd")).expect_err("another");
        assert_eq!(error.kind(), FileErrorKind::Integrity);
        assert!(error.to_string().contains("`abc`") && error.to_string().contains("`abd`"), "{error}");
        assert!(check_etag("s3://b/k", None, &expected("abd")).is_err());
    }
}
