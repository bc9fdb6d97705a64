//! From a task's directory into the storage.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartId, PutPayload};
use rxon::model::FileMetadata;

use super::error::{FileError, FileErrorKind};
use super::fetch::bare;
use super::mode::OpenMode;
use super::name::shown;
use super::storage::{Location, storage_error};
use super::task::TaskFiles;
use super::transfers::Memory;
use super::workspace::{Entry, Workspace, is_part};
use super::{PARALLEL, PART_SIZE};

/// Larger ones are sent in parts.
const LARGEST_WHOLE: u64 = 16 << 20;

/// S3 takes no more of them for one object.
const MAX_PARTS: u64 = 10_000;

/// How long it may take to take back what was sent of an object.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

impl TaskFiles {
    /// Sends a file or a directory of the task's, and says what became of it.
    pub(super) async fn send(&self, below: &Path, entry: Entry) -> Result<FileMetadata, FileError> {
        match entry {
            Entry::File { .. } => self.send_file(below.to_owned()).await,
            Entry::Directory => self.send_directory(below.to_owned()).await,
            Entry::Other => {
                let message = format!("`{}` is no regular file, and cannot be uploaded", shown(below));
                Err(FileError::new(FileErrorKind::Unusable, message))
            }
        }
    }

    async fn send_directory(&self, below: PathBuf) -> Result<FileMetadata, FileError> {
        let directory = below.clone();
        let files = self.on_thread(move |workspace| files_of(workspace, &directory)).await?;
        let uri = self.destination(&below)?.uri;
        let uri = if uri.ends_with('/') { uri } else { format!("{uri}/") };
        if files.is_empty() {
            tracing::warn!(uri, "the directory is empty: nothing is uploaded");
        }
        let sent = stream::iter(files)
            .map(|file| {
                let files = self.clone();
                async move { files.send_file(file).await }
            })
            .buffer_unordered(PARALLEL);
        let size = sent.try_fold(0, |sum, file| async move { Ok(sum + file.size.unwrap_or(0)) }).await?;
        Ok(FileMetadata { uri, size: Some(size), etag: None })
    }

    async fn send_file(&self, below: PathBuf) -> Result<FileMetadata, FileError> {
        let to = self.destination(&below)?;
        let name = below.clone();
        let (file, size) = self
            .on_thread(move |workspace| {
                let file = workspace.open_below(&name, OpenMode::READ)?;
                let size = file.metadata().map_err(|error| FileError::io("look at", &name, error))?.len();
                Ok((Arc::new(file), size))
            })
            .await?;
        let etag = if size <= LARGEST_WHOLE {
            self.send_whole(&to, &below, file, size).await?
        } else {
            self.send_in_parts(&to, &below, &file, size).await?
        };
        let etag = etag.map(|etag| bare(&etag).to_owned());
        Ok(FileMetadata { uri: to.uri, size: Some(size), etag })
    }

    async fn send_whole(
        &self,
        to: &Location,
        below: &Path,
        file: Arc<File>,
        size: u64,
    ) -> Result<Option<String>, FileError> {
        let mut turn = self.turn(size).await;
        let content = self.read_at(to, file, 0..size, below, turn.take_memory()).await?;
        let put = to.store.put_opts(&to.path, content, object_store::PutOptions::default()).await;
        put.map(|put| put.e_tag).map_err(|error| storage_error(&to.uri, &error))
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
        // The first part needs no turn of its own, and what follows the last one neither.
        let turn = self.turn(part_size).await;
        let id = to.store.create_multipart(&to.path).await.map_err(failed)?;
        let mut begun = Begun { files: self, upload: Some((to.clone(), id.clone())) };
        let mut first = Some(turn);
        let parts = (0..count).map(|number| {
            let (files, to, id) = (self.clone(), to.clone(), id.clone());
            let (file, below, from) = (file.clone(), below.to_owned(), number * part_size);
            let range = from..size.min(from + part_size);
            let turn = first.take();
            async move {
                let mut turn = match turn {
                    Some(turn) => turn,
                    None => files.turn(range.end - range.start).await,
                };
                let content = files.read_at(&to, file, range, &below, turn.take_memory()).await?;
                let sent = to.store.put_part(&to.path, &id, number as usize, content).await;
                Ok((number, sent.map_err(|error| storage_error(&to.uri, &error))?, turn))
            }
        });
        let mut parts = stream::iter(parts).buffer_unordered(PARALLEL);
        let (mut sent, mut last) = (Vec::new(), None);
        while let Some((number, part, turn)) = parts.try_next().await? {
            sent.push((number, part));
            last = Some(turn).filter(|_| sent.len() as u64 == count);
        }
        sent.sort_by_key(|(number, _)| *number);
        let sent = sent.into_iter().map(|(_, part)| part).collect();
        let put = to.store.complete_multipart(&to.path, &id, sent).await.map_err(failed)?;
        drop(last);
        begun.upload = None;
        Ok(put.e_tag)
    }

    async fn read_at(
        &self,
        to: &Location,
        file: Arc<File>,
        range: Range<u64>,
        below: &Path,
        memory: Memory,
    ) -> Result<PutPayload, FileError> {
        let (buffers, below) = (self.buffers().clone(), below.to_owned());
        let pieces = self
            .on_thread(move |_| {
                // It fails when somebody makes it shorter meanwhile.
                buffers.read(&file, range, memory).map_err(|error| FileError::io("read", &below, error))
            })
            .await?;
        let content = to.store.payload(pieces);
        self.went(content.content_length());
        Ok(content)
    }
}

/// An upload in parts that has begun: what was sent is taken back if nothing comes of it, even when it is dropped.
struct Begun<'a> {
    files: &'a TaskFiles,
    upload: Option<(Location, MultipartId)>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some((to, id)) = self.upload.take() else { return };
        self.files.finish_later(async move {
            let aborted = tokio::time::timeout(ABORT_LIMIT, to.store.abort_multipart(&to.path, &id)).await;
            if !matches!(aborted, Ok(Ok(()))) {
                tracing::warn!(uri = to.uri, "parts of an upload that failed may be left in the storage");
            }
        });
    }
}

/// The regular files in a directory, at any depth.
fn files_of(workspace: &Workspace, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let made = workspace.made()?;
    let (mut files, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        let failed = |error| FileError::io("list", &directory, error);
        let here = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
        for entry in made.dir.read_dir(here).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_part(&entry.file_name()) {
                continue;
            }
            let below = directory.join(entry.file_name());
            let is_link = entry.file_type().map_err(failed)?.is_symlink();
            match workspace.entry(&below)? {
                Some(Entry::File { .. }) => files.push(below),
                Some(Entry::Directory) if !is_link => directories.push(below),
                // A link to a directory may lead in a circle.
                Some(Entry::Directory) => {
                    tracing::warn!(link = shown(&below), "a link to a directory is not uploaded");
                }
                Some(Entry::Other) => {
                    tracing::warn!(name = shown(&below), "what is no regular file is not uploaded");
                }
                None => tracing::warn!(link = shown(&below), "a link that leads nowhere is not uploaded"),
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use rxon::TaskId;

    use super::super::root::Root;
    use super::super::{Files, SHARE, Storage};
    use super::*;
    use crate::config::WorkerConfig;

    #[tokio::test]
    async fn all_that_one_task_sends_goes_through_the_same_memory() {
        const LARGE: u64 = 60 << 20;
        let folder = tempfile::tempdir().expect("a folder");
        let config = WorkerConfig::defaults().task_files_dir(folder.path());
        let files = Arc::new(Files::new(&config, Some(Storage::in_memory("b")), Arc::default()));
        let of_task = files.of_task(&TaskId::received("t-1").expect("an id"));
        for (name, size) in [("large", LARGE), ("out/whole", LARGEST_WHOLE), ("out/small", 5)] {
            let path = of_task.path_to(name).await.expect("a path");
            File::create(path).and_then(|file| file.set_len(size)).expect("made");
        }
        for _ in 0..2 {
            of_task.upload_file("large").await.expect("sent");
            of_task.upload_dir("out").await.expect("sent");
        }
        let pieces = files.buffers.idle();
        assert!((1..=SHARE.pieces).contains(&pieces), "{pieces} pieces were in use at once");
    }

    #[test]
    fn what_a_download_has_not_finished_is_not_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Arc::new(Root::new(folder.path(), None));
        let workspace = Workspace::new(root, TaskId::received("t-1").expect("an id"));
        workspace.write(Path::new("deep/a"), b"x", OpenMode::WRITE).expect("written");
        workspace.new_part().expect("a part");
        assert_eq!(files_of(&workspace, Path::new("")).expect("listed"), [Path::new("deep/a")]);
    }
}
