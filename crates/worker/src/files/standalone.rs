//! Files outside of a worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rxon::model::FileMetadata;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::directory::TaskDirectory;
use super::error::{FileError, FileErrorKind};
use super::mover::Mover;
use super::settings::Cache;
use super::storage::{NO_STORAGE, Storage};
use super::task::TaskFiles;
use super::transfer::TransferResources;
use super::workspace::{Workspace, name};

/// Directories and the storage outside of a worker: for scripts, tools and unit tests of handlers. Cheap to clone.
///
/// ```
/// use avtomatika_worker::WorkerConfig;
/// use avtomatika_worker::files::StandaloneFiles;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let files = StandaloneFiles::new(&WorkerConfig::defaults())?.directory(folder, "reports");
/// files.write("report.txt", "all is well").await?;
/// assert!(files.exists("report.txt").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StandaloneFiles {
    /// None without a storage.
    resources: Option<Arc<TransferResources>>,
    /// `TASK_FILES_DIR`.
    root: PathBuf,
    runtime: Handle,
    clean_up: TaskTracker,
}

impl StandaloneFiles {
    /// Must be called on the runtime that runs the transfers.
    pub(crate) fn over(root: &Path, cache: Option<Cache>, storage: Option<Storage>) -> Self {
        let resources = TransferResources::new(storage, cache, &mut Registry::default()).map(Arc::new);
        Self { resources, root: root.to_owned(), runtime: Handle::current(), clean_up: TaskTracker::new() }
    }

    /// Whether there is a storage: whether `S3_ENDPOINT_URL` is set.
    pub fn has_storage(&self) -> bool {
        self.resources.is_some()
    }

    /// Returns the files in a directory, which is made on first use and not removed. Names that lead out of it are refused,
    /// as in a task. The keys of uploads begin with `key_prefix`.
    pub fn directory(&self, path: impl AsRef<Path>, key_prefix: &str) -> TaskFiles {
        self.files(Workspace::standalone(path.as_ref(), key_prefix, false))
    }

    /// Returns the files in a directory, as [`directory`](Self::directory) does, with two differences: if it is made, only
    /// its user may read it, and a symbolic link in its place is an error ([`FileErrorKind::Forbidden`]). For directories
    /// in a place where others may write, such as `TASK_FILES_DIR`.
    pub fn private_directory(&self, path: impl AsRef<Path>, key_prefix: &str) -> TaskFiles {
        self.files(Workspace::standalone(path.as_ref(), key_prefix, true))
    }

    fn files(&self, workspace: Workspace) -> TaskFiles {
        let directory = TaskDirectory::standalone(workspace, self.runtime.clone(), self.clean_up.clone());
        let directory = Arc::new(directory);
        let mover = self.resources.clone().map(|resources| Mover::new(directory.clone(), resources));
        TaskFiles::new(directory, mover)
    }

    /// Returns the path of the directory that a task of this id has, in `TASK_FILES_DIR`.
    pub fn path_of_task(&self, task_id: &str) -> PathBuf {
        self.root.join(name::of_task(task_id))
    }

    /// Fetches every `s3://` address in the parameters into the directory at [`path_of_task`](Self::path_of_task), and
    /// replaces it by the path of the file, as a worker does before the handler. `metadata` has the sizes and `ETag`s that
    /// the objects must have, by their paths in the parameters, such as `a.b[0]`. Without a storage, the parameters stay
    /// unchanged.
    ///
    /// A file that is there already is replaced only by the object that was fetched to it; an object of the same name goes
    /// into a directory of its own, such as `input-2`.
    ///
    /// # Errors
    /// As [`TaskFiles::download_verified`], and [`FileErrorKind::Forbidden`] if there is a symbolic link in place of the
    /// directory.
    pub async fn fetch_inputs(
        &self,
        task_id: &str,
        params: Box<RawValue>,
        metadata: &BTreeMap<String, FileMetadata>,
    ) -> Result<Box<RawValue>, FileError> {
        let path = self.path_of_task(task_id);
        self.private_directory(path, task_id).fetch_inputs(params, metadata).await
    }

    /// Uploads a file to an address.
    ///
    /// # Errors
    /// As [`TaskFiles::upload_file`].
    pub async fn upload(&self, path: impl AsRef<Path>, uri: &str) -> Result<FileMetadata, FileError> {
        let path = path.as_ref();
        let Some(name) = path.file_name() else {
            return Err(FileError::unusable(format!("`{}` is not the path of a file", path.display())));
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let files = self.directory(directory.unwrap_or(Path::new(".")), "");
        files.mover()?.upload_to(Path::new(name), uri).await
    }

    /// Returns the size and the `ETag` of an object; None if it does not exist.
    ///
    /// # Errors
    /// [`FileErrorKind::NoStorage`] without `S3_ENDPOINT_URL`; [`FileErrorKind::Denied`],
    /// [`FileErrorKind::Unavailable`]; [`FileErrorKind::Unusable`] if `uri` is not an address.
    pub async fn metadata(&self, uri: &str) -> Result<Option<FileMetadata>, FileError> {
        self.mover()?.metadata(uri).await
    }

    /// Deletes an object, or for an address that ends in `/` all objects below it. It is no error if there is none.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata), and [`FileErrorKind::NoObject`] if the bucket does not exist.
    pub async fn delete(&self, uri: &str) -> Result<(), FileError> {
        self.mover()?.delete(uri).await
    }

    /// A mover that touches no directory.
    fn mover(&self) -> Result<Mover, FileError> {
        let untouched = |resources| {
            let (runtime, clean_up) = (self.runtime.clone(), self.clean_up.clone());
            let workspace = Workspace::standalone(&self.root, "", false);
            let directory = TaskDirectory::standalone(workspace, runtime, clean_up);
            Mover::new(Arc::new(directory), resources)
        };
        let no_storage = || FileError::new(FileErrorKind::NoStorage, NO_STORAGE);
        self.resources.clone().map(untouched).ok_or_else(no_storage)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BUCKET: &str = "results";

    fn kind<T: std::fmt::Debug>(result: Result<T, FileError>) -> FileErrorKind {
        result.expect_err("refused").kind()
    }

    fn with_storage(folder: &tempfile::TempDir) -> StandaloneFiles {
        StandaloneFiles::over(folder.path(), None, Some(Storage::in_memory(BUCKET)))
    }

    #[tokio::test]
    async fn a_directory_of_the_user_is_used_as_it_is_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/directory");
        let files = StandaloneFiles::over(folder.path(), None, None).directory(&path, "d");
        assert!(!path.exists(), "nothing is made before it is needed");
        assert_eq!(files.path_to("").await.expect("the directory"), path);
        assert!(files.exists("").await.expect("looked"));
        files.write("a/b", "x").await.expect("written");
        std::fs::write(path.join("mine"), "y").expect("written");
        assert_eq!(files.list().await.expect("listed"), ["a", "mine"]);
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).expect("linked");
        for name in ["../mine", "/etc/passwd", "link", "a\0b"] {
            assert_eq!(kind(files.read(name).await), FileErrorKind::Forbidden, "{name:?}");
        }
        assert_eq!(kind(files.upload_file("mine").await), FileErrorKind::NoStorage);
        drop(files);
        assert_eq!(std::fs::read_to_string(path.join("a/b")).expect("it stays"), "x");
        let again = StandaloneFiles::over(folder.path(), None, None).directory(&path, "d");
        assert!(again.exists("mine").await.expect("looked"), "files that were there before are found");
    }

    #[tokio::test]
    async fn an_object_that_differs_is_never_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = with_storage(&folder).directory(folder.path().join("d"), "prefix");
        files.write("a", "abc").await.expect("written");
        files.write("deep/b", "de").await.expect("written");
        let whole = files.upload_dir("").await.expect("sent");
        // In memory, an `ETag` is the number of a version.
        let sent = files.upload_file("a").await.expect("sent");
        assert_eq!((sent.uri.as_str(), sent.size), ("s3://results/prefix/a", Some(3)));
        assert_eq!((whole.uri.as_str(), whole.size, &whole.etag), ("s3://results/prefix/", Some(5), &None));

        let etag = sent.etag.clone().expect("an ETag");
        files.write("a", "earlier").await.expect("written");
        for wrong in [
            FileMetadata { size: Some(4), ..sent.clone() },
            FileMetadata { etag: Some(format!("{etag}-2")), ..sent.clone() },
        ] {
            let refused = files.download_verified(&sent.uri, "a", &wrong).await;
            assert_eq!(kind(refused), FileErrorKind::Integrity);
            assert_eq!(files.read_text("a").await.expect("it survives"), "earlier");
            let larger = FileMetadata { size: Some(6), ..whole.clone() };
            let refused = files.download_verified(&whole.uri, "all", &larger);
            assert_eq!(kind(refused.await), FileErrorKind::Integrity);
            assert_eq!(files.list().await.expect("listed"), ["a", "deep"], "nothing partial is left");
        }
        let quoted = FileMetadata { etag: Some(format!("W/\"{etag}\"")), ..sent.clone() };
        let path = files.download_verified(&sent.uri, "a", &quoted).await.expect("the same");
        assert_eq!(files.read_text(path).await.expect("replaced"), "abc");
        for _ in 0..2 {
            let all = files.download_verified(&whole.uri, "all", &whole).await.expect("the same");
            assert_eq!(files.read_text(all.join("deep/b")).await.expect("there"), "de");
        }
        assert_eq!(kind(files.download_file(&sent.uri, "deep").await), FileErrorKind::Unusable);
    }

    #[tokio::test]
    async fn inputs_are_fetched_as_for_a_task() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = with_storage(&folder);
        let source = folder.path().join("source");
        std::fs::write(&source, "abc").expect("written");
        files.upload(&source, "s3://in/a.txt").await.expect("sent");
        let raw = |value: serde_json::Value| serde_json::value::to_raw_value(&value).expect("JSON");
        let params = json!({"a": {"b": ["s3://in/a.txt", "other"]}});
        for _ in 0..2 {
            let fetched = files.fetch_inputs("t/1", raw(params.clone()), &BTreeMap::new()).await;
            let fetched: serde_json::Value =
                serde_json::from_str(fetched.expect("fetched").get()).expect("JSON");
            let path = files.path_of_task("t/1").join("a.txt");
            assert_eq!(fetched, json!({"a": {"b": [path, "other"]}}));
            assert_eq!(std::fs::read_to_string(path).expect("there"), "abc");
        }
        let wrong = FileMetadata { uri: String::new(), size: Some(4), etag: None };
        let metadata = BTreeMap::from([("a.b[0]".to_owned(), wrong)]);
        let refused = files.fetch_inputs("t-2", raw(params), &metadata).await;
        assert_eq!(kind(refused), FileErrorKind::Integrity);
        let params = raw(json!(["s3://in/a.txt"]));
        let without = StandaloneFiles::over(folder.path(), None, None);
        let unchanged =
            without.fetch_inputs("t-3", params.clone(), &BTreeMap::new()).await.expect("unchanged");
        assert_eq!(unchanged.get(), params.get());
    }

    #[tokio::test]
    async fn inputs_never_overwrite_each_other_nor_other_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("payloads");
        let files = StandaloneFiles::over(&root, None, Some(Storage::in_memory(BUCKET)));
        let source = folder.path().join("source");
        for uri in ["s3://in/1/x", "s3://in/2/x", "s3://in/3/X", "s3://in/4/own", "s3://in/5/x/deep"] {
            std::fs::write(&source, uri).expect("written");
            files.upload(&source, uri).await.expect("sent");
        }
        let fetch = async |uris: &[&str]| -> Vec<String> {
            let params = serde_json::value::to_raw_value(uris).expect("JSON");
            let fetched = files.fetch_inputs("t-1", params, &BTreeMap::new()).await.expect("fetched");
            let paths: Vec<PathBuf> = serde_json::from_str(fetched.get()).expect("JSON");
            for (path, uri) in paths.iter().zip(uris).filter(|(path, _)| path.is_file()) {
                assert_eq!(std::fs::read_to_string(path).expect("there"), **uri);
            }
            let below = paths.iter().map(|path| path.strip_prefix(root.join("t-1")).expect("below"));
            below.map(|below| below.to_str().expect("text").to_owned()).collect()
        };
        std::fs::create_dir_all(root.join("t-1/input-3")).expect("made");
        std::fs::write(root.join("t-1/OWN"), "mine").expect("written");
        assert_eq!(fetch(&["s3://in/1/x"]).await, ["x"]);
        assert_eq!(fetch(&["s3://in/2/x"]).await, ["input-2/x"]);
        let all = ["s3://in/3/X", "s3://in/2/x", "s3://in/4/own", "s3://in/1/x", "s3://in/5/x/"];
        for _ in 0..2 {
            assert_eq!(fetch(&all).await, ["input-4/X", "input-2/x", "input-5/own", "x", "input-6/x"]);
        }
        assert_eq!(std::fs::read_to_string(root.join("t-1/OWN")).expect("there"), "mine");
        for (below, uri) in [("x", "s3://in/1/x"), ("input-2/x", "s3://in/2/x")] {
            assert_eq!(std::fs::read_to_string(root.join("t-1").join(below)).expect("there"), uri);
        }
        // A later directory of the same task has files of its own.
        std::fs::rename(root.join("t-1"), root.join("earlier")).expect("moved");
        std::fs::create_dir(root.join("t-1")).expect("made");
        std::fs::write(root.join("t-1/x"), "mine").expect("written");
        assert_eq!(fetch(&["s3://in/1/x", "s3://in/4/own"]).await, ["input-2/x", "own"]);
        assert_eq!(std::fs::read_to_string(root.join("t-1/x")).expect("there"), "mine");
    }

    #[tokio::test]
    async fn inputs_fetched_at_once_have_names_of_their_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = StandaloneFiles::over(folder.path(), None, Some(Storage::in_memory(BUCKET)));
        let source = folder.path().join("source");
        let uris: Vec<_> = (0..20).map(|number| format!("s3://in/{number}/x")).collect();
        for uri in &uris {
            std::fs::write(&source, uri).expect("written");
            files.upload(&source, uri).await.expect("sent");
        }
        let fetch = async |uri: &str| {
            let params = serde_json::value::to_raw_value(&[uri]).expect("JSON");
            let fetched = files.fetch_inputs("t-1", params, &BTreeMap::new()).await.expect("fetched");
            serde_json::from_str::<[PathBuf; 1]>(fetched.get()).expect("JSON")
        };
        let fetched = futures_util::future::join_all(uris.iter().map(|uri| fetch(uri))).await;
        for ([path], uri) in fetched.iter().zip(&uris) {
            assert_eq!(&std::fs::read_to_string(path).expect("there"), uri);
        }
    }

    #[tokio::test]
    async fn the_directory_of_a_task_is_private_and_no_link_is_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let (root, elsewhere) = (folder.path().join("payloads"), folder.path().join("elsewhere"));
        let files = StandaloneFiles::over(&root, None, Some(Storage::in_memory(BUCKET)));
        let source = folder.path().join("source");
        std::fs::write(&source, "abc").expect("written");
        files.upload(&source, "s3://in/a.txt").await.expect("sent");
        let fetch = async |task| {
            let params = serde_json::value::to_raw_value(&["s3://in/a.txt"]).expect("JSON");
            files.fetch_inputs(task, params, &BTreeMap::new()).await
        };
        fetch("t-1").await.expect("fetched");
        let mode = std::fs::metadata(root.join("t-1")).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::create_dir(&elsewhere).expect("made");
        symlink(&elsewhere, root.join("t-2")).expect("linked");
        symlink(folder.path().join("none"), root.join("t-3")).expect("linked");
        for task in ["t-2", "t-3"] {
            let error = fetch(task).await.expect_err("a link");
            assert_eq!(error.kind(), FileErrorKind::Forbidden);
            assert!(error.to_string().contains(&format!("{task}` is a symbolic link")), "{error}");
            assert_eq!(
                kind(files.private_directory(root.join(task), "").list().await),
                FileErrorKind::Forbidden
            );
        }
        assert_eq!(std::fs::read_dir(&elsewhere).expect("listed").count(), 0);
        std::fs::write(root.join("t-4"), "x").expect("written");
        assert_eq!(kind(fetch("t-4").await), FileErrorKind::Other);
        symlink(&root, folder.path().join("root")).expect("linked");
        let linked = files.private_directory(folder.path().join("root/t-1"), "");
        assert_eq!(linked.list().await.expect("the root may be a link"), ["a.txt"]);
    }

    #[tokio::test]
    async fn objects_at_any_address_are_described_and_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = with_storage(&folder);
        let source = folder.path().join("source");
        std::fs::write(&source, "abc").expect("written");
        let sent = files.upload(&source, "s3://in/d/a").await.expect("sent");
        files.upload(&source, "s3://in/d/deep/b").await.expect("sent");
        files.upload(&source, "s3://in/da").await.expect("sent");
        assert_eq!(files.metadata("s3://in/d/a").await.expect("asked"), Some(sent));
        for _ in 0..2 {
            files.delete("s3://in/d/a").await.expect("deleted");
            assert_eq!(files.metadata("s3://in/d/a").await.expect("asked"), None);
        }
        files.delete("s3://in/d/").await.expect("deleted");
        assert_eq!(files.metadata("s3://in/d/deep/b").await.expect("asked"), None);
        assert!(files.metadata("s3://in/da").await.expect("asked").is_some(), "it is not below the address");
        assert_eq!(kind(files.upload(&source, "s3://in/d/").await), FileErrorKind::Unusable);
        assert_eq!(kind(files.metadata("in/d").await), FileErrorKind::Unusable);
        assert_eq!(
            kind(files.upload(folder.path().join("none"), "s3://in/x").await),
            FileErrorKind::NotFound
        );
        let without = StandaloneFiles::over(folder.path(), None, None);
        assert!(!without.has_storage() && files.has_storage());
        assert_eq!(kind(without.delete("s3://in/d/a").await), FileErrorKind::NoStorage);
    }
}
