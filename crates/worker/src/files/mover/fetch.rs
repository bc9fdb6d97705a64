//! Downloads from the storage into a task's directory.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectMeta};
use rxon::model::FileMetadata;
use rxon::text::excerpt;

use super::checks::{bare, check_etag, check_size, truncated};
use super::{Mover, OnDrop, PART_SIZE};
use crate::files::error::{FileError, FileErrorKind};
use crate::files::storage::Location;
use crate::files::storage::failure::{is_range_ignored, is_wordless, storage_error};
use crate::files::storage::uri::ObjectUri;
use crate::files::transfer::buffers::PIECE;
use crate::files::transfer::turns::{Holding, Turn};
use crate::files::transfer::{CacheKey, MAX_TRANSFERS};
use crate::files::workspace::{Workspace, name};

/// The least number of bytes written at once. Smaller objects are fetched into one piece of memory.
const WRITE_SIZE: usize = PIECE;

/// An object, or all objects with a prefix, to be fetched.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) at: Location,
    /// The path of the file or the directory, below the task's directory.
    pub(super) below: PathBuf,
    /// The metadata that the object must have: that of each place of its address in the parameters.
    pub(super) expected: Vec<FileMetadata>,
    /// Whether existing files are replaced, not an error.
    pub(super) replaces: bool,
}

/// An object of known size and `ETag`, to be fetched.
#[derive(Debug)]
struct Object {
    at: Location,
    /// The path of its file, below the task's directory.
    below: PathBuf,
    size: u64,
    /// The `ETag` as sent by the storage.
    etag: Option<String>,
    /// Whether an existing file is replaced.
    replaces: bool,
    /// Whether the storage has sent the whole object instead of a range.
    ignores_ranges: AtomicBool,
}

impl Object {
    fn new(at: Location, meta: ObjectMeta, below: PathBuf, replaces: bool) -> Self {
        let ObjectMeta { size, e_tag: etag, .. } = meta;
        Self { at, below, size, etag, replaces, ignores_ranges: AtomicBool::new(false) }
    }
}

impl Mover {
    /// Downloads an object, or all objects with a prefix, that must have the given metadata, and returns the path.
    pub(in crate::files) async fn download(
        &self,
        uri: &str,
        name: &Path,
        expected: Option<&FileMetadata>,
    ) -> Result<PathBuf, FileError> {
        let at = self.resources.storage.locate(&ObjectUri::of_user(uri)?)?;
        let name = name.to_owned();
        let below = self.directory.on_thread(move |workspace| Ok(workspace.resolve(&name)?.1)).await?;
        // Without something to check, an object that changes while it is read is fetched again.
        let expected = expected.filter(|expected| expected.size.is_some() || expected.etag.is_some());
        let expected = expected.cloned().into_iter().collect();
        let download = Download { at, below, expected, replaces: true };
        self.fetch(&download).await?;
        Ok(self.directory.workspace.made()?.path.join(download.below))
    }

    /// Fetches an object, or all objects with a prefix, and returns the number of bytes.
    pub(super) async fn fetch(&self, download: &Download) -> Result<u64, FileError> {
        if download.at.is_prefix {
            return self.fetch_prefix(download).await;
        }
        match self.fetch_object(download).await {
            // No metadata names a version: the new version is fetched once.
            Err(error) if error.kind() == FileErrorKind::Integrity && download.expected.is_empty() => {
                let uri = excerpt(&download.at.uri);
                tracing::warn!(uri, "the object changed while it was read: it is fetched again");
                self.fetch_object(download).await
            }
            fetched => fetched,
        }
    }

    async fn fetch_object(
        &self,
        Download { at, below, expected, replaces }: &Download,
    ) -> Result<u64, FileError> {
        // One turn for both requests, with memory for a small object: the size is not known yet.
        let turn = self.turn(None, WRITE_SIZE as u64).await;
        let meta = self.head(at).await?;
        let size = meta.size;
        for expected in expected {
            check_size(&at.uri, size, expected)?;
            check_etag(&at.uri, meta.e_tag.as_deref(), expected)?;
        }
        let object = Object::new(at.clone(), meta, below.clone(), *replaces);
        self.fetch_known(object, Some(turn)).await?;
        Ok(size)
    }

    /// Asks for size and `ETag` of an object, in the caller's turn.
    pub(super) async fn head(&self, at: &Location) -> Result<ObjectMeta, FileError> {
        let head = at.store.get_opts(&at.path, GetOptions::new().with_head(true)).await;
        let found = match head {
            // The answer has no body. That to a request for a byte says why, or that only HEAD is refused.
            Err(error) if is_wordless(&error) => {
                let first = GetOptions::new().with_range(Some(GetRange::Bounded(0..1)));
                match at.store.get_opts(&at.path, first).await {
                    Err(another) if is_range_ignored(&another) => Err(error),
                    found => found,
                }
            }
            head => head,
        };
        found.map(|result| result.meta).map_err(|error| storage_error(&at.uri, &error))
    }

    async fn fetch_prefix(&self, download: &Download) -> Result<u64, FileError> {
        let Download { at, below, expected, .. } = download;
        let mut listed = at.list().boxed();
        if !expected.is_empty() {
            // The sum of the sizes is known before the first file is written.
            let objects: Vec<_> = listed.try_collect().await?;
            let bytes = objects.iter().map(|object| object.size).sum();
            for expected in expected {
                check_size(&at.uri, bytes, expected)?;
            }
            listed = stream::iter(objects.into_iter().map(Ok)).boxed();
        }
        let directory = below.clone();
        self.directory.on_thread(move |workspace| workspace.make_directory(&directory)).await?;
        let (count, bytes) = listed
            .map_ok(|meta| async move {
                let size = meta.size;
                self.fetch_listed(download, meta).await.map(|()| size)
            })
            .try_buffer_unordered(MAX_TRANSFERS)
            .try_fold((0, 0), |(count, bytes), size| async move { Ok((count + 1, bytes + size)) })
            .await?;
        if count == 0 {
            tracing::warn!(uri = excerpt(&at.uri), "no object has this prefix: the directory is empty");
        }
        Ok(bytes)
    }

    async fn fetch_listed(&self, download: &Download, meta: ObjectMeta) -> Result<(), FileError> {
        let Download { at, below, replaces, .. } = download;
        let key = meta.location.as_ref();
        let rest = key.strip_prefix(at.path.as_ref()).unwrap_or(key);
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        // The directory marker of the prefix itself: `data/` is listed below `data/`.
        if rest.is_empty() {
            warn_of_marker(&at.uri, meta.size);
            return Ok(());
        }
        let below = below.join(name::of_key(rest)?);
        let uri = format!("{}{rest}", at.uri);
        let at = Location { uri, path: meta.location.clone(), is_prefix: false, ..at.clone() };
        // The library drops the `/` at the end of a directory marker, so no object is found for its key.
        let is_marker = if meta.size == 0 {
            let _turn = self.turn(None, 0).await;
            matches!(self.head(&at).await, Err(error) if error.kind() == FileErrorKind::NoObject)
        } else {
            let object = Object::new(at.clone(), meta.clone(), below.clone(), *replaces);
            match self.fetch_known(object, None).await {
                Err(error) if error.kind() == FileErrorKind::NoObject => {
                    if !self.has_marker(&at).await? {
                        return Err(error);
                    }
                    warn_of_marker(&format!("{}/", at.uri), meta.size);
                    true
                }
                fetched => return fetched,
            }
        };
        if is_marker {
            return self.directory.on_thread(move |workspace| workspace.make_directory(&below)).await;
        }
        self.fetch_known(Object::new(at, meta, below, *replaces), None).await
    }

    /// Whether there is an object whose key is this key and a `/`.
    async fn has_marker(&self, at: &Location) -> Result<bool, FileError> {
        let _turn = self.turn(None, 0).await;
        let mut listed = at.list().boxed();
        while let Some(object) = listed.next().await.transpose()? {
            if object.location == at.path {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches an object of known size and `ETag`, in the turn of the request for them if there is one.
    async fn fetch_known(&self, object: Object, mut turn: Option<Turn>) -> Result<(), FileError> {
        let Object { at, below, size, etag, replaces, .. } = &object;
        let key = CacheKey::of(self.resources.storage.endpoint(), &at.uri, etag.as_deref(), *size);
        if let Some(cached) = self.cached(key.as_ref()).await? {
            // Copying needs no turn.
            turn = None;
            if self.copy_cached(cached, *size, below, *replaces).await? {
                tracing::debug!(uri = excerpt(&at.uri), bytes = size, "taken from the cache");
                return Ok(());
            }
        }
        if *size <= WRITE_SIZE as u64 {
            self.fetch_small(&object, turn).await?;
        } else {
            self.fetch_large(&object, turn).await?;
        }
        self.add_to_cache(key, object.below).await;
        Ok(())
    }

    /// Fetches an object into memory and writes it in one step on a thread.
    async fn fetch_small(&self, object: &Object, turn: Option<Turn>) -> Result<(), FileError> {
        let (below, replaces) = (object.below.clone(), object.replaces);
        if object.size == 0 {
            drop(turn);
            let written =
                self.directory.on_thread(move |workspace| workspace.write_download(&below, &[], replaces));
            return written.await;
        }
        let Turn { memory, place } = self.turn(turn, object.size).await;
        let mut content = self.resources.buffers.lend(&Arc::new(memory));
        let mut incoming = self.incoming(object, 0..object.size, place).await?;
        while let Some(chunk) = incoming.next().await? {
            content.room(chunk.len()).copy_from_slice(&chunk);
        }
        // Ends the turn, but keeps the memory until the disk, which may be slower than the storage, has the content.
        drop(incoming);
        let written = self
            .directory
            .on_thread(move |workspace| workspace.write_download(&below, content.as_ref(), replaces));
        written.await
    }

    /// Fetches an object in parts, several at once.
    async fn fetch_large(&self, object: &Object, turn: Option<Turn>) -> Result<(), FileError> {
        // The parts are written as they arrive, and need no memory.
        let mut place = turn.map(|turn| turn.place.into_part());
        let (part, file) = self.directory.on_thread(Workspace::new_part).await?;
        let unfinished = part.clone();
        let mut unfinished = OnDrop(Some(|| {
            self.directory.clean_up_on_thread(move |workspace| workspace.remove_part(&unfinished));
        }));
        let file = Arc::new(file);
        let ranges = (0..object.size.div_ceil(PART_SIZE))
            .map(|number| number * PART_SIZE..object.size.min((number + 1) * PART_SIZE));
        let fetched = stream::iter(ranges)
            .map(|range| self.fetch_range(object, range, &file, place.take()))
            .buffer_unordered(MAX_TRANSFERS)
            .try_for_each(|()| async { Ok(()) })
            .await;
        match fetched {
            Err(_) if object.ignores_ranges.load(Ordering::Relaxed) => {
                tracing::debug!(
                    uri = excerpt(&object.at.uri),
                    "the storage ignores ranges: the object is read whole"
                );
                self.fetch_range(object, 0..object.size, &file, None).await?;
            }
            fetched => fetched?,
        }
        let (uri, below, size) = (object.at.uri.clone(), object.below.clone(), object.size);
        let replaces = object.replaces;
        let named = self.directory.on_thread(move |workspace| {
            let there = file.metadata().map_err(|error| FileError::io("look at", &below, error))?.len();
            if there != size {
                return Err(truncated(&uri, there, size));
            }
            workspace.name_part(&part, &below, replaces)
        });
        named.await?;
        unfinished.0 = None;
        Ok(())
    }

    async fn fetch_range(
        &self,
        object: &Object,
        range: Range<u64>,
        file: &Arc<File>,
        place: Option<Holding>,
    ) -> Result<(), FileError> {
        let (mut at, mut gathered, mut size) = (range.start, Vec::new(), 0);
        let place = match place {
            Some(place) => place,
            None => self.part_turn(None, 0).await.place,
        };
        let mut incoming = self.incoming(object, range, place).await?;
        while let Some(chunk) = incoming.next().await? {
            size += chunk.len();
            gathered.push(chunk);
            if size >= WRITE_SIZE {
                self.write_at(object, file, at, std::mem::take(&mut gathered)).await?;
                at += size as u64;
                size = 0;
            }
        }
        incoming.place.end_part(incoming.length);
        self.write_at(object, file, at, gathered).await
    }

    /// Writes chunks of an object, beginning at this offset of the file.
    async fn write_at(
        &self,
        object: &Object,
        file: &Arc<File>,
        mut at: u64,
        chunks: Vec<Bytes>,
    ) -> Result<(), FileError> {
        let (file, below) = (file.clone(), object.below.clone());
        let written = self.directory.on_thread(move |_| {
            for chunk in chunks {
                file.write_all_at(&chunk, at).map_err(|error| FileError::io("write", &below, error))?;
                at += chunk.len() as u64;
            }
            Ok(())
        });
        written.await
    }

    /// Requests a range of an object.
    async fn incoming<'a>(
        &'a self,
        object: &'a Object,
        range: Range<u64>,
        place: Holding,
    ) -> Result<Incoming<'a>, FileError> {
        let uri = &object.at.uri;
        let is_whole = range == (0..object.size);
        // A weak ETag never matches, so it cannot be a condition.
        let strong = object.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        let options = GetOptions::new()
            .with_if_match(strong)
            .with_range((!is_whole).then(|| GetRange::Bounded(range.clone())));
        let result = object.at.store.get_opts(&object.at.path, options).await;
        let result = result.map_err(|error| {
            if is_range_ignored(&error) {
                object.ignores_ranges.store(true, Ordering::Relaxed);
            }
            storage_error(uri, &error)
        })?;
        // Not every storage checks the condition.
        let tags = (result.meta.e_tag.as_deref(), object.etag.as_deref());
        let is_another = matches!(tags, (Some(now), Some(then)) if bare(now) != bare(then));
        if is_another || result.meta.size != object.size {
            let message = format!("`{}` changed while it was read", excerpt(uri));
            return Err(FileError::new(FileErrorKind::Integrity, message));
        }
        let length = range.end - range.start;
        Ok(Incoming { mover: self, uri, chunks: result.into_stream(), received: 0, length, place })
    }
}

/// The incoming bytes of a range of an object. After a broken connection the library requests the rest.
struct Incoming<'a> {
    mover: &'a Mover,
    uri: &'a str,
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
    received: u64,
    length: u64,
    place: Holding,
}

impl Incoming<'_> {
    /// Returns the next piece; None after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, FileError> {
        let chunk = self.chunks.next().await.transpose().map_err(|error| storage_error(self.uri, &error))?;
        self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        match chunk {
            Some(chunk) if self.received <= self.length => {
                self.mover.count(&self.mover.resources.traffic.downloaded, chunk.len());
                Ok(Some(chunk))
            }
            None if self.received == self.length => Ok(None),
            _ => Err(truncated(self.uri, self.received, self.length)),
        }
    }
}

fn warn_of_marker(uri: &str, size: u64) {
    if size > 0 {
        let uri = excerpt(uri);
        tracing::warn!(
            uri,
            size,
            "the key of the object ends in `/`: it is taken for a directory, without its content"
        );
    }
}
