//! The files of a task's parameters and of its data: fetched before, sent after.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::handler::Outcome;

/// What was uploaded, by key path.
pub(crate) type Metadata = BTreeMap<String, FileMetadata>;

/// How often it is said how far long transfers are.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// One object that parameters ask for, and where it goes.
struct Wanted {
    at: Location,
    below: PathBuf,
    expected: Option<FileMetadata>,
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
        let found = json::strings(params.get(), |text| parse(text).is_some());
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
                async move { files.fetch(&wanted.at, &wanted.below, wanted.expected.as_ref()).await }
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
        let (mut wanted, mut names): (Vec<Wanted>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
        let mut seen = BTreeMap::new();
        for found in found {
            let expected = metadata.get(&found.path).cloned();
            if let Some(place) = seen.get(&found.text) {
                let known: &mut Wanted = &mut wanted[*place];
                known.expected = known.expected.take().or(expected);
                continue;
            }
            seen.insert(&found.text, wanted.len());
            let at = storage.locate(&found.text)?;
            let below = free_name(&at, &mut names)?;
            wanted.push(Wanted { at, below, expected });
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
        // Where nothing was made there is nothing to send.
        if self.workspace().existing().is_none() {
            return Ok((outcome, none));
        }
        let found = json::strings(data.get(), |text| text.starts_with('/'));
        if found.is_empty() {
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
                metadata.insert(found.path.clone(), sent.clone());
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
    let mut there = Vec::new();
    let root = workspace.existing().and_then(|made| made.path.parent());
    for text in texts {
        if let Some((below, entry)) = workspace.find(&text)? {
            there.push((text, below, entry));
        } else if root.is_some_and(|root| Path::new(&text).starts_with(root)) {
            let path = shown(Path::new(&text));
            tracing::warn!(
                path,
                "a path below `TASK_FILES_DIR` in the data is no file of the task's: it is left as it is"
            );
        }
    }
    Ok(there)
}

/// The file's own name; where another has it, in a directory `input-2` or further.
fn free_name(at: &Location, names: &mut BTreeSet<String>) -> Result<PathBuf, FileError> {
    let name = at.path.as_ref().rsplit('/').next().filter(|name| !name.is_empty());
    // A whole bucket.
    let name = name.unwrap_or("bucket");
    let mut below = super::name::of_key(name)?;
    let mut number = 1;
    // Some file systems take `A` and `a` for the same.
    while !names.insert(below.to_string_lossy().to_lowercase()) {
        number += 1;
        below = Path::new(&format!("input-{number}")).join(name);
    }
    // Nobody else's file may be that directory.
    if number > 1 {
        names.insert(format!("input-{number}"));
    }
    Ok(below)
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON whose strings are exchanged is JSON")
}
