//! Uploads from a task's directory into the storage.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartId, PutPayload};
use rxon::limit::within;
use rxon::model::FileMetadata;

use super::checks::bare;
use super::{Mover, OnDrop, PART_SIZE};
use crate::files::error::{FileError, shown};
use crate::files::storage::Location;
use crate::files::storage::failure::storage_error;
use crate::files::transfer::MAX_TRANSFERS;
use crate::files::transfer::turns::{Holding, Turn};
use crate::files::workspace::mode::OpenMode;
use crate::files::workspace::{EntryKind, Workspace, is_part, or_dot};

/// The largest file that is sent whole, not in parts.
const MAX_WHOLE: u64 = 16 << 20;

/// The most parts of one object that S3 takes.
const MAX_PARTS: u64 = 10_000;

/// The time limit of aborting an upload.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

impl Mover {
    /// Uploads a file, or a directory, and returns its metadata.
    pub(in crate::files) async fn upload(
        &self,
        name: &Path,
        is_directory: bool,
    ) -> Result<FileMetadata, FileError> {
        let name = name.to_owned();
        let found =
            self.directory.on_thread(move |workspace| workspace.resolve_existing(&name, is_directory));
        let (below, kind) = found.await?;
        self.send(below, kind).await
    }

    /// Uploads a file or a directory of the task, and returns its metadata.
    pub(super) async fn send(&self, below: PathBuf, kind: EntryKind) -> Result<FileMetadata, FileError> {
        match kind {
            EntryKind::File { .. } => self.send_file(below).await,
            EntryKind::Directory => self.send_directory(below).await,
            EntryKind::Other => {
                let name = shown(&below);
                Err(FileError::unusable(format!("`{name}` is not a regular file, and cannot be uploaded")))
            }
        }
    }

    async fn send_directory(&self, below: PathBuf) -> Result<FileMetadata, FileError> {
        let mut uri = self.destination(&below)?.uri;
        let files = self.directory.on_thread(move |workspace| files_of(workspace, &below)).await?;
        if !uri.ends_with('/') {
            uri.push('/');
        }
        if files.is_empty() {
            tracing::warn!(uri, "the directory is empty: nothing is uploaded");
        }
        let sent = stream::iter(files).map(|file| self.send_file(file)).buffer_unordered(MAX_TRANSFERS);
        let size = sent.try_fold(0, |sum, file| async move { Ok(sum + file.size.unwrap_or(0)) }).await?;
        Ok(FileMetadata { uri, size: Some(size), etag: None })
    }

    async fn send_file(&self, below: PathBuf) -> Result<FileMetadata, FileError> {
        let to = self.destination(&below)?;
        self.send_file_to(to, below).await
    }

    /// Uploads a file to any location.
    pub(super) async fn send_file_to(&self, to: Location, below: PathBuf) -> Result<FileMetadata, FileError> {
        let name = below.clone();
        let (file, size) = self
            .directory
            .on_thread(move |workspace| {
                let file = workspace.open_below(&name, OpenMode::READ)?;
                let size = file.metadata().map_err(|error| FileError::io("look at", &name, error))?.len();
                Ok((Arc::new(file), size))
            })
            .await?;
        let etag = if size <= MAX_WHOLE {
            let Turn { memory, place: _place } = self.turn(None, size).await;
            let content = self.read_at(&to, file, 0..size, &below, memory).await?;
            let put = to.store.put_opts(&to.path, content, object_store::PutOptions::default()).await;
            put.map_err(|error| storage_error(&to.uri, &error))?.e_tag
        } else {
            self.send_in_parts(&to, &below, &file, size).await?
        };
        let etag = etag.map(|etag| bare(&etag).to_owned());
        Ok(FileMetadata { uri: to.uri, size: Some(size), etag })
    }

    async fn send_in_parts(
        &self,
        to: &Location,
        below: &Path,
        file: &Arc<File>,
        size: u64,
    ) -> Result<Option<String>, FileError> {
        let failed = |error| storage_error(&to.uri, &error);
        let part_size = size.div_ceil(MAX_PARTS).max(PART_SIZE);
        let count = size.div_ceil(part_size);
        // The request before the first part shares its turn, and so does the request after the last part.
        let mut first = Some(self.turn(None, part_size).await);
        let id = to.store.create_multipart(&to.path).await.map_err(failed)?;
        let mut unfinished = OnDrop(Some(|| self.directory.clean_up(abort(to.clone(), id.clone()))));
        let parts = (0..count).map(|number| {
            let range = number * part_size..size.min((number + 1) * part_size);
            let (turn, id) = (first.take(), &id);
            async move {
                let bytes = range.end - range.start;
                let Turn { memory, mut place } = self.part_turn(turn, bytes).await;
                let content = self.read_at(to, file.clone(), range, below, memory).await?;
                let sent = to.store.put_part(&to.path, id, number as usize, content).await;
                let sent = sent.map_err(failed)?;
                place.end_part(bytes);
                Ok((number, sent, place))
            }
        });
        let mut parts = stream::iter(parts).buffer_unordered(MAX_TRANSFERS);
        let (mut sent, mut last) = (Vec::new(), None);
        while let Some((number, part, place)) = parts.try_next().await? {
            sent.push((number, part));
            last = Some(place).filter(|_| sent.len() as u64 == count);
        }
        sent.sort_by_key(|(number, _)| *number);
        let sent = sent.into_iter().map(|(_, part)| part).collect();
        let put = to.store.complete_multipart(&to.path, &id, sent).await.map_err(failed)?;
        drop(last);
        unfinished.0 = None;
        Ok(put.e_tag)
    }

    async fn read_at(
        &self,
        to: &Location,
        file: Arc<File>,
        range: Range<u64>,
        below: &Path,
        memory: Holding,
    ) -> Result<PutPayload, FileError> {
        let (buffers, below) = (self.resources.buffers.clone(), below.to_owned());
        let pieces = self
            .directory
            .on_thread(move |_| {
                // Fails if the file was made shorter in the meantime.
                buffers.read(&file, range, memory).map_err(|error| FileError::io("read", &below, error))
            })
            .await?;
        let content = to.store.payload(pieces);
        self.count(&self.resources.traffic.uploaded, content.content_length());
        Ok(content)
    }
}

/// Aborts an unfinished upload in parts.
async fn abort(to: Location, id: MultipartId) {
    let aborted = within(ABORT_LIMIT, to.store.abort_multipart(&to.path, &id)).await;
    if !matches!(aborted, Ok(Ok(()))) {
        tracing::warn!(
            uri = to.uri,
            "an upload could not be aborted: parts of it may be left in the storage"
        );
    }
}

/// Finds the regular files in a directory, at any depth.
fn files_of(workspace: &Workspace, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let made = workspace.made()?;
    let (mut files, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        let failed = |error| FileError::io("list", &directory, error);
        for entry in made.dir.read_dir(or_dot(&directory)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_part(&entry.file_name()) {
                continue;
            }
            let below = directory.join(entry.file_name());
            let is_link = entry.file_type().map_err(failed)?.is_symlink();
            match workspace.entry(&below)? {
                Some(EntryKind::File { .. }) => files.push(below),
                Some(EntryKind::Directory) if !is_link => directories.push(below),
                // Links to directories may form a circle.
                Some(EntryKind::Directory) => {
                    tracing::warn!(link = shown(&below), "a link to a directory is not uploaded");
                }
                Some(EntryKind::Other) => {
                    tracing::warn!(
                        name = shown(&below),
                        "an entry that is not a regular file is not uploaded"
                    );
                }
                None => tracing::warn!(link = shown(&below), "a link without a target is not uploaded"),
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use rxon::TaskId;

    use super::*;
    use crate::files::Files;
    use crate::files::storage::Storage;
    use crate::files::transfer::MAX_OF_TASK;
    use crate::files::workspace::root::Root;

    #[tokio::test]
    async fn all_uploads_of_a_task_share_its_memory() {
        const LARGE: u64 = 60 << 20;
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Some(Storage::in_memory("b"));
        let files = Files::new(folder.path(), None, None, storage, &mut Registry::default());
        let of_task = files.of_task(&TaskId::received("t-1").expect("an id"));
        for (name, size) in [("large", LARGE), ("out/whole", MAX_WHOLE), ("out/small", 5)] {
            let path = of_task.path_to(name).await.expect("a path");
            File::create(path).and_then(|file| file.set_len(size)).expect("made");
        }
        for _ in 0..2 {
            of_task.upload_file("large").await.expect("sent");
            of_task.upload_dir("out").await.expect("sent");
        }
        let pieces = files.resources.expect("a storage").buffers.idle();
        assert!((1..=MAX_OF_TASK.pieces).contains(&pieces), "{pieces} pieces were in use at once");
    }

    #[test]
    fn unfinished_downloads_are_not_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Arc::new(Root::new(folder.path(), None));
        let workspace = Workspace::new(root, TaskId::received("t-1").expect("an id"));
        workspace.write(Path::new("deep/a"), b"x", OpenMode::WRITE).expect("written");
        workspace.new_part().expect("a part");
        assert_eq!(files_of(&workspace, Path::new("")).expect("listed"), [Path::new("deep/a")]);
    }
}
