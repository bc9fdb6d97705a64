//! The files in a task's parameters and data: fetched before the handler runs, sent after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rxon::model::FileMetadata;
use rxon::text::excerpt;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::Mover;
use super::json::{self, Found};
use crate::files::error::{FileError, FileErrorKind};
use crate::files::inputs::{InputKind, Inputs};
use crate::files::metadata::MetadataByPath;
use crate::files::storage::Location;
use crate::files::storage::uri::ObjectUri;
use crate::files::text::shown;
use crate::files::transfer::resources::MAX_TRANSFERS;
use crate::files::workspace::{EntryKind, Workspace, name};

/// The interval of log lines on the progress of long transfers.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The longest path in the data for which metadata is sent.
const MAX_PATH: usize = 4096;

/// An object to fetch for parameters, and its destination.
struct Wanted {
    at: Location,
    below: PathBuf,
    /// The metadata at each path of the address in the parameters.
    expected: Vec<FileMetadata>,
}

impl Mover {
    /// Fetches every `s3://` address in the parameters, and replaces it by the path of the file.
    pub(in crate::files) async fn fetch_inputs(
        self: &Arc<Self>,
        params: Box<RawValue>,
        metadata: &MetadataByPath,
    ) -> Result<(Box<RawValue>, Inputs), FileError> {
        // Most parameters contain no address, and are not scanned. A backslash may escape a `/` or an `s`.
        if !(params.get().contains("s3:") || params.get().contains('\\')) {
            return Ok((params, Inputs::new()));
        }
        let max_path = metadata.keys().map(String::len).max().unwrap_or_default();
        let found = json::strings(params.get(), max_path, ObjectUri::parse);
        if found.is_empty() {
            return Ok((params, Inputs::new()));
        }
        let traffic = &self.resources.traffic;
        let _moving = traffic.begin();
        let fetched = self.logging_progress("fetched", self.fetch_found(&found, metadata)).await;
        let (paths, inputs) = fetched.inspect_err(|_| traffic.add_failure())?;
        let replacements: Vec<_> =
            found.iter().map(|found| (found.range.clone(), paths[found.value.as_str()].as_str())).collect();
        Ok((raw(json::replaced(params.get(), &replacements)), inputs))
    }

    /// Returns the path of each address, and the fetched inputs.
    async fn fetch_found(
        self: &Arc<Self>,
        found: &[Found<ObjectUri>],
        metadata: &MetadataByPath,
    ) -> Result<(HashMap<String, String>, Inputs), FileError> {
        let began = Instant::now();
        let directory = self.directory.on_thread(|workspace| Ok(workspace.made()?.path.clone())).await?;
        let mut paths = HashMap::new();
        let mut inputs = Inputs::new();
        let wanted = self.wanted(found, metadata)?;
        for wanted in &wanted {
            let path = directory.join(&wanted.below);
            let path = path.into_os_string().into_string().map_err(|path| {
                let message = format!("the path `{}` is not UTF-8", shown(Path::new(&path)));
                FileError::new(FileErrorKind::Unusable, message)
            })?;
            let kind = if wanted.at.is_prefix { InputKind::Directory } else { InputKind::File };
            inputs.insert(path.clone(), kind);
            paths.insert(wanted.at.uri.clone(), path);
        }
        let files = wanted.len();
        tracing::debug!(files, "fetching the task's files");
        let bytes: u64 = stream::iter(wanted)
            .map(|wanted| {
                let mover = self.clone();
                async move { mover.fetch(&wanted.at, &wanted.below, &wanted.expected).await }
            })
            .buffer_unordered(MAX_TRANSFERS)
            .try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
            .await?;
        tracing::info!(files, bytes, duration = ?began.elapsed(), "the task's files are fetched");
        Ok((paths, inputs))
    }

    /// Logs the progress of work that takes long.
    async fn logging_progress<T>(&self, action: &str, work: impl Future<Output = T>) -> T {
        let moved = || self.moved.load(Ordering::Relaxed);
        let before = moved();
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(LOG_INTERVAL, &mut work).await {
                return done;
            }
            tracing::info!(bytes = moved() - before, "the task's files are being {action}");
        }
    }

    /// Returns each address once, with a path that no other has.
    fn wanted(
        &self,
        found: &[Found<ObjectUri>],
        metadata: &MetadataByPath,
    ) -> Result<Vec<Wanted>, FileError> {
        let (mut wanted, mut names): (Vec<Wanted>, _) = (Vec::new(), Names::default());
        let mut indexes = HashMap::new();
        for found in found {
            let index = *indexes.entry(found.value.as_str()).or_insert(wanted.len());
            if index == wanted.len() {
                let at = self.resources.storage.locate(&found.value)?;
                let below = names.assign(&at)?;
                wanted.push(Wanted { at, below, expected: Vec::new() });
            }
            let expected = found.path.as_ref().and_then(|path| metadata.get(path));
            wanted[index].expected.extend(expected.cloned());
        }
        Ok(wanted)
    }

    /// Uploads every path of the task's directory in the data, and replaces it by its address. Returns the new data and
    /// the metadata of the uploads.
    pub(in crate::files) async fn send_outputs(
        self: &Arc<Self>,
        data: Box<RawValue>,
    ) -> Result<(Box<RawValue>, MetadataByPath), FileError> {
        let roots = self.root.paths();
        // Most data contains no path, and is not scanned. A path can be spelled in several ways, its last part cannot.
        let may_be_in = |root: &PathBuf| {
            root.file_name().and_then(OsStr::to_str).is_none_or(|name| data.get().contains(name))
        };
        if !(data.get().contains('\\') || roots.iter().any(may_be_in)) {
            return Ok((data, MetadataByPath::new()));
        }
        let in_root =
            |text: String| roots.iter().any(|root| Path::new(&text).starts_with(root)).then_some(text);
        let found = json::strings(data.get(), MAX_PATH, in_root);
        if found.is_empty() {
            return Ok((data, MetadataByPath::new()));
        }
        // Without a directory of the task there is nothing to send.
        if self.directory.workspace().existing().is_none() {
            let texts: BTreeSet<&str> = found.iter().map(|found| found.value.as_str()).collect();
            warn_of_others(texts.into_iter());
            return Ok((data, MetadataByPath::new()));
        }
        let traffic = &self.resources.traffic;
        let _moving = traffic.begin();
        let sent = self
            .logging_progress("uploaded", self.send_found(&found))
            .await
            .inspect_err(|_| traffic.add_failure())?;
        let (mut replacements, mut metadata) = (Vec::new(), MetadataByPath::new());
        for found in &found {
            if let Some(sent) = sent.get(&found.value) {
                replacements.push((found.range.clone(), sent.uri.as_str()));
                metadata.extend(found.path.clone().map(|path| (path, sent.clone())));
            }
        }
        Ok((raw(json::replaced(data.get(), &replacements)), metadata))
    }

    /// Returns the metadata of the upload for each path that was sent.
    async fn send_found(
        self: &Arc<Self>,
        found: &[Found<String>],
    ) -> Result<BTreeMap<String, FileMetadata>, FileError> {
        let texts: BTreeSet<String> = found.iter().map(|found| found.value.clone()).collect();
        let existing = self.directory.on_thread(move |workspace| existing(workspace, texts)).await?;
        if existing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let began = Instant::now();
        let sent: BTreeMap<String, FileMetadata> = stream::iter(existing)
            .map(|(text, below, kind)| {
                let mover = self.clone();
                async move { Ok::<_, FileError>((text, mover.send(&below, kind).await?)) }
            })
            .buffer_unordered(MAX_TRANSFERS)
            .try_collect()
            .await?;
        let bytes: u64 = sent.values().filter_map(|sent| sent.size).sum();
        tracing::info!(files = sent.len(), bytes, duration = ?began.elapsed(), "the task's files are uploaded");
        Ok(sent)
    }
}

/// Returns the texts that are paths of existing entries of the task's directory.
fn existing(
    workspace: &Workspace,
    texts: BTreeSet<String>,
) -> Result<Vec<(String, PathBuf, EntryKind)>, FileError> {
    let (mut existing, mut others) = (Vec::new(), Vec::new());
    for text in texts {
        match workspace.find(&text)? {
            Some((below, kind)) => existing.push((text, below, kind)),
            None => others.push(text),
        }
    }
    warn_of_others(others.iter().map(String::as_str));
    Ok(existing)
}

fn warn_of_others<'a>(mut others: impl ExactSizeIterator<Item = &'a str>) {
    let count = others.len();
    if let Some(first) = others.next() {
        tracing::warn!(
            path = excerpt(first),
            count,
            "paths below `TASK_FILES_DIR` in the data are not files of the task: they are left unchanged"
        );
    }
}

/// The names of fetched files. Names that differ only in case collide, as on some file systems.
#[derive(Default)]
struct Names {
    taken: BTreeSet<String>,
    directories: u64,
}

impl Names {
    /// Returns the object's own name. If it is taken, returns the name in a directory of its own: `input-2`, `input-3`, ...
    fn assign(&mut self, at: &Location) -> Result<PathBuf, FileError> {
        let name = at.path.as_ref().rsplit('/').next().filter(|name| !name.is_empty());
        // Only a whole bucket has no name.
        let name = name.unwrap_or("bucket");
        let below = name::of_key(name)?;
        if self.taken.insert(name.to_lowercase()) {
            return Ok(below);
        }
        loop {
            self.directories += 1;
            let directory = format!("input-{}", self.directories + 1);
            // An object may have this name.
            if self.taken.insert(directory.clone()) {
                return Ok(Path::new(&directory).join(below));
            }
        }
    }
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON stays valid when strings in it are replaced")
}
