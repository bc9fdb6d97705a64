//! The files in a task's parameters and data: fetched before the handler runs, sent after it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rxon::model::FileMetadata;
use rxon::text::excerpt;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::fetch::Download;
use super::json::{self, Found};
use super::{Mover, OnDrop};
use crate::files::error::{FileError, shown};
use crate::files::metadata::{InputKind, Inputs, MetadataByPath};
use crate::files::storage::Location;
use crate::files::storage::uri::ObjectUri;
use crate::files::transfer::MAX_TRANSFERS;
use crate::files::transfer::names::Names;
use crate::files::workspace::{EntryKind, Workspace};

/// The interval of log lines on the progress of long transfers.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The longest path in the data for which metadata is sent.
const MAX_PATH: usize = 4096;

/// The download of an address in the parameters, and the full path that replaces the address.
struct Input {
    download: Download,
    path: String,
}

impl Mover {
    /// Fetches every `s3://` address in the parameters, and replaces it by the path of the file.
    pub(in crate::files) async fn fetch_inputs(
        &self,
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
        // A member that stands again later does not count, and is not fetched.
        if let Some(mended) = rxon::json::mended(params.get().as_bytes()) {
            return Box::pin(self.fetch_inputs(raw(mended), metadata)).await;
        }
        let inputs = self.observed("fetched", self.fetch_found(&found, metadata)).await?;
        let path = |found: &Found<ObjectUri>| inputs[found.value.as_str()].path.as_str();
        let replacements: Vec<_> = found.iter().map(|found| (found.range.clone(), path(found))).collect();
        let params = raw(json::replaced(params.get(), &replacements));
        let kind = |at: &Location| if at.is_prefix { InputKind::Directory } else { InputKind::File };
        let inputs = inputs.into_values().map(|input| (input.path, kind(&input.download.at))).collect();
        Ok((params, inputs))
    }

    /// Returns the fetched objects, by address.
    async fn fetch_found<'a>(
        &self,
        found: &'a [Found<ObjectUri>],
        metadata: &MetadataByPath,
    ) -> Result<BTreeMap<&'a str, Input>, FileError> {
        let began = Instant::now();
        let resources = self.resources.clone();
        let looked = self.directory.on_thread(move |workspace| {
            let there = workspace.is_standalone().then(|| resources.earlier_names.look(workspace));
            Ok((workspace.made()?.path.clone(), there.transpose()?))
        });
        let (directory, there) = looked.await?;
        let inputs = match there {
            // Files from before are replaced only by the same object.
            Some(there) => self
                .resources
                .earlier_names
                .with(&directory, there, |names| self.inputs(found, metadata, &directory, names, true))?,
            None => self.inputs(found, metadata, &directory, &mut Names::default(), false)?,
        };
        let files = inputs.len();
        tracing::debug!(files, "fetching the task's files");
        let downloads: Vec<_> = inputs.values().map(|input| &input.download).collect();
        let bytes: u64 = stream::iter(0..files)
            .map(|index| self.fetch(downloads[index]))
            .buffer_unordered(MAX_TRANSFERS)
            .try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
            .await?;
        tracing::info!(files, bytes, seconds = began.elapsed().as_secs_f64(), "the task's files are fetched");
        Ok(inputs)
    }

    /// Assigns names to the objects, and returns their downloads, by address.
    fn inputs<'a>(
        &self,
        found: &'a [Found<ObjectUri>],
        metadata: &MetadataByPath,
        directory: &Path,
        names: &mut Names,
        replaces: bool,
    ) -> Result<BTreeMap<&'a str, Input>, FileError> {
        let mut inputs = BTreeMap::new();
        for found in found {
            let input = match inputs.entry(found.value.as_str()) {
                Entry::Occupied(input) => input.into_mut(),
                Entry::Vacant(entry) => {
                    let at = self.resources.storage.locate(&found.value)?;
                    let below = names.assign(&at)?;
                    let path = directory.join(&below).into_os_string().into_string().map_err(|path| {
                        FileError::unusable(format!("the path `{}` is not UTF-8", shown(Path::new(&path))))
                    })?;
                    let download = Download { at, below, expected: Vec::new(), replaces };
                    entry.insert(Input { download, path })
                }
            };
            let expected = found.path.as_ref().and_then(|path| metadata.get(path));
            input.download.expected.extend(expected.cloned());
        }
        Ok(inputs)
    }

    /// Counts the task as moving files, or as failed, and logs the progress of work that takes long.
    async fn observed<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, FileError>>,
    ) -> Result<T, FileError> {
        let traffic = &self.resources.traffic;
        traffic.moving.inc();
        let _moving = OnDrop(Some(|| _ = traffic.moving.dec()));
        let moved = || self.moved.load(Ordering::Relaxed);
        let before = moved();
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(LOG_INTERVAL, &mut work).await {
                return done.inspect_err(|_| _ = traffic.failed.inc());
            }
            tracing::info!(bytes = moved() - before, "the task's files are being {action}");
        }
    }

    /// Uploads every path of the task's directory in the data, and replaces it by its address. Returns the new data and
    /// the metadata of the uploads.
    pub(in crate::files) async fn send_outputs(
        &self,
        data: Box<RawValue>,
    ) -> Result<(Box<RawValue>, MetadataByPath), FileError> {
        let roots = self.directory.workspace.search_paths();
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
        let sent = self.observed("uploaded", self.send_found(&found)).await?;
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
    async fn send_found(&self, found: &[Found<String>]) -> Result<BTreeMap<String, FileMetadata>, FileError> {
        let texts: BTreeSet<String> = found.iter().map(|found| found.value.clone()).collect();
        let existing = self.directory.on_thread(move |workspace| existing(workspace, texts)).await?;
        if existing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let began = Instant::now();
        let sent: BTreeMap<String, FileMetadata> = stream::iter(existing)
            .map(|(text, below, kind)| async move { Ok((text, self.send(below, kind).await?)) })
            .buffer_unordered(MAX_TRANSFERS)
            .try_collect()
            .await?;
        let bytes: u64 = sent.values().filter_map(|sent| sent.size).sum();
        tracing::info!(
            files = sent.len(),
            bytes,
            seconds = began.elapsed().as_secs_f64(),
            "the task's files are uploaded"
        );
        Ok(sent)
    }
}

/// Returns the texts that are paths of existing entries of the task's directory, and warns of the others.
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
    if let Some(first) = others.first() {
        tracing::warn!(
            path = excerpt(first),
            count = others.len(),
            "paths below `TASK_FILES_DIR` in the data are not files of the task: they are left unchanged"
        );
    }
    Ok(existing)
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON stays valid when strings in it are replaced")
}
