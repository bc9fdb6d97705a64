//! The files of a task's parameters and of its data: fetched before, sent after.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rxon::model::FileMetadata;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::PARALLEL;
use super::error::{FileError, FileErrorKind};
use super::json::{self, Found};
use super::name::shown;
use super::storage::{Location, parse};
use super::task::{Input, TaskFiles};
use super::workspace::{Entry, Workspace};
use crate::task::outcome::Outcome;

/// What was uploaded, by key path.
pub(crate) type Metadata = BTreeMap<String, FileMetadata>;

/// How often it is said how far long transfers are.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Of data that lies deeper no metadata is sent.
const LONGEST_PATH: usize = 4096;

/// One object that parameters ask for, and where it goes.
struct Wanted {
    at: Location,
    below: PathBuf,
    /// What was said of it, at each place where it stands.
    expected: Vec<FileMetadata>,
}

impl TaskFiles {
    /// Fetches every `s3://` address in the parameters, and puts the path in its place. Without storage they stay.
    pub(crate) async fn fetch_inputs(
        &self,
        params: Box<RawValue>,
        metadata: &Metadata,
    ) -> Result<Box<RawValue>, FileError> {
        // Most parameters have none: those are not looked at but for this. A `/` or an `s` may be escaped.
        if !self.has_storage() || !(params.get().contains("s3:") || params.get().contains('\\')) {
            return Ok(params);
        }
        let longest = metadata.keys().map(String::len).max().unwrap_or_default();
        let found = json::strings(params.get(), longest, |text| parse(text).is_some());
        if found.is_empty() {
            return Ok(params);
        }
        let _under_way = self.traffic().begin();
        let fetched = self.telling("come", self.fetch_found(&found, metadata)).await;
        let paths = fetched.inspect_err(|_| self.traffic().failed())?;
        let exchanged: Vec<_> =
            found.iter().map(|found| (found.range.clone(), paths[&found.text].as_str())).collect();
        Ok(raw(json::exchanged(params.get(), &exchanged)))
    }

    async fn fetch_found(
        &self,
        found: &[Found],
        metadata: &Metadata,
    ) -> Result<BTreeMap<String, String>, FileError> {
        let began = Instant::now();
        let directory = self.on_thread(|workspace| Ok(workspace.made()?.path.clone())).await?;
        let wanted = self.wanted(found, metadata)?;
        let mut paths = BTreeMap::new();
        for wanted in &wanted {
            let path = directory.join(&wanted.below);
            let path = path.into_os_string().into_string().map_err(|path| {
                let message = format!("the path `{}` is no text", shown(Path::new(&path)));
                FileError::new(FileErrorKind::Unusable, message)
            })?;
            paths.insert(wanted.at.uri.clone(), path);
        }
        let inputs = wanted.iter().map(|wanted| {
            let kind = if wanted.at.is_prefix { Input::Directory } else { Input::File };
            (paths[&wanted.at.uri].clone(), kind)
        });
        self.set_inputs(inputs.collect());
        let files = wanted.len();
        tracing::debug!(files, "fetching the task's files");
        let bytes: u64 = stream::iter(wanted)
            .map(|wanted| {
                let files = self.clone();
                async move { files.fetch(&wanted.at, &wanted.below, &wanted.expected).await }
            })
            .buffer_unordered(PARALLEL)
            .try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
            .await?;
        tracing::info!(files, bytes, duration = ?began.elapsed(), "the task's files have come");
        Ok(paths)
    }

    /// Tells now and then how far it is with what takes long.
    async fn telling<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let before = self.moved();
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(TOLD_EVERY, &mut work).await {
                return done;
            }
            tracing::info!(bytes = self.moved() - before, "the task's files: so much has {what} so far");
        }
    }

    /// Each address once, under a name that no other has.
    fn wanted(&self, found: &[Found], metadata: &Metadata) -> Result<Vec<Wanted>, FileError> {
        let storage = self.storage()?;
        let (mut wanted, mut names): (Vec<Wanted>, _) = (Vec::new(), Names::default());
        let mut seen = BTreeMap::new();
        for found in found {
            let place = *seen.entry(&found.text).or_insert(wanted.len());
            if place == wanted.len() {
                let at = storage.locate(&found.text)?;
                let below = names.free(&at)?;
                wanted.push(Wanted { at, below, expected: Vec::new() });
            }
            let said = found.path.as_ref().and_then(|path| metadata.get(path));
            wanted[place].expected.extend(said.cloned());
        }
        Ok(wanted)
    }

    /// Uploads every path of the task's directory that stands in the data, and puts its address in its place. Without
    /// storage they stay.
    pub(crate) async fn send_outputs(&self, outcome: Outcome) -> Result<(Outcome, Metadata), FileError> {
        let none = Metadata::new();
        let (Outcome::Completed { status, data: Some(data) }, true) = (&outcome, self.has_storage()) else {
            return Ok((outcome, none));
        };
        let roots = self.root_paths();
        // Most data has none: it is not looked at but for this. A path may be spelled in several ways, its parts not.
        let may_have = |root: &PathBuf| {
            root.file_name().and_then(OsStr::to_str).is_none_or(|name| data.get().contains(name))
        };
        if !(data.get().contains('\\') || roots.iter().any(may_have)) {
            return Ok((outcome, none));
        }
        let is_in_root = |text: &str| roots.iter().any(|root| Path::new(text).starts_with(root));
        let found = json::strings(data.get(), LONGEST_PATH, is_in_root);
        if found.is_empty() {
            return Ok((outcome, none));
        }
        // Where nothing was made there is nothing to send.
        if self.workspace().existing().is_none() {
            let texts: BTreeSet<&str> = found.iter().map(|found| found.text.as_str()).collect();
            warn_of_others(texts.into_iter());
            return Ok((outcome, none));
        }
        let _under_way = self.traffic().begin();
        let sent =
            self.telling("gone", self.send_found(&found)).await.inspect_err(|_| self.traffic().failed())?;
        let mut exchanged = Vec::new();
        let mut metadata = none;
        for found in &found {
            if let Some(sent) = sent.get(&found.text) {
                exchanged.push((found.range.clone(), sent.uri.as_str()));
                metadata.extend(found.path.clone().map(|path| (path, sent.clone())));
            }
        }
        let data = Some(raw(json::exchanged(data.get(), &exchanged)));
        Ok((Outcome::Completed { status: status.clone(), data }, metadata))
    }

    async fn send_found(&self, found: &[Found]) -> Result<BTreeMap<String, FileMetadata>, FileError> {
        let texts: BTreeSet<String> = found.iter().map(|found| found.text.clone()).collect();
        let there = self.on_thread(move |workspace| all_there(workspace, texts)).await?;
        if there.is_empty() {
            return Ok(BTreeMap::new());
        }
        let began = Instant::now();
        let sent: BTreeMap<String, FileMetadata> = stream::iter(there)
            .map(|(text, below, entry)| {
                let files = self.clone();
                async move { Ok::<_, FileError>((text, files.send(&below, entry).await?)) }
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        let bytes: u64 = sent.values().filter_map(|sent| sent.size).sum();
        tracing::info!(files = sent.len(), bytes, duration = ?began.elapsed(), "the task's files are uploaded");
        Ok(sent)
    }
}

/// Those of the texts that are something in the task's directory.
fn all_there(
    workspace: &Workspace,
    texts: BTreeSet<String>,
) -> Result<Vec<(String, PathBuf, Entry)>, FileError> {
    let (mut there, mut others) = (Vec::new(), Vec::new());
    for text in texts {
        match workspace.find(&text)? {
            Some((below, entry)) => there.push((text, below, entry)),
            None => others.push(text),
        }
    }
    warn_of_others(others.iter().map(String::as_str));
    Ok(there)
}

fn warn_of_others<'a>(mut others: impl ExactSizeIterator<Item = &'a str>) {
    let count = others.len();
    if let Some(first) = others.next() {
        let path = shown(Path::new(first));
        tracing::warn!(
            path,
            count,
            "paths below `TASK_FILES_DIR` in the data are no files of the task's: they are left as they are"
        );
    }
}

/// Names that are given out. Some file systems take `A` and `a` for the same, and so does this.
#[derive(Default)]
struct Names {
    taken: BTreeSet<String>,
    directories: u64,
}

impl Names {
    /// The object's own name; where another has it, in a directory of its own, `input-2` or further.
    fn free(&mut self, at: &Location) -> Result<PathBuf, FileError> {
        let name = at.path.as_ref().rsplit('/').next().filter(|name| !name.is_empty());
        // A whole bucket.
        let name = name.unwrap_or("bucket");
        let below = super::name::of_key(name)?;
        if self.taken.insert(name.to_lowercase()) {
            return Ok(below);
        }
        loop {
            self.directories += 1;
            let directory = format!("input-{}", self.directories + 1);
            // It may be the name of an object, too.
            if self.taken.insert(directory.clone()) {
                return Ok(Path::new(&directory).join(below));
            }
        }
    }
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON whose strings are exchanged is JSON")
}
