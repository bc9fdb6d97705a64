//! The fixture of the tests of files: a worker with a scripted orchestrator and a storage, and the directories around
//! its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use avtomatika_worker::prelude::*;
use avtomatika_worker::{WorkerBuilder, WorkerConfig};
use e2e::{Storage, StorageKind};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{FaultProxy, Rule, ScriptedOrchestrator};

/// The content of a file that no task may read. It must not appear in any object or result.
pub(crate) const SECRET: &str = "the secret of the house next door";

/// A storage, and a directory with the files of tasks in `tasks` and files of others beside it.
pub(crate) struct Site {
    pub(crate) storage: Arc<Storage>,
    directory: TempDir,
}

/// The surroundings of a running worker.
pub(crate) struct Desk {
    pub(crate) orchestrator: ScriptedOrchestrator,
    /// The proxy in front of the storage, whose address the worker uses.
    pub(crate) proxy: FaultProxy,
    storage: Arc<Storage>,
    /// The number of times that the handler of `look` was called.
    ran: Arc<AtomicUsize>,
}

impl Site {
    pub(crate) fn new(kind: StorageKind) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::create_dir(directory.path().join("tasks")).expect("made");
        fs::create_dir(directory.path().join("neighbours")).expect("made");
        fs::write(directory.path().join("neighbours/secret.txt"), SECRET).expect("written");
        Self { storage: Arc::new(Storage::start(kind)), directory }
    }

    /// The directory `TASK_FILES_DIR`.
    pub(crate) fn tasks(&self) -> PathBuf {
        self.directory.path().join("tasks")
    }

    /// The path of a file beside it that no task may touch.
    pub(crate) fn secret(&self) -> PathBuf {
        self.directory.path().join("neighbours/secret.txt")
    }

    /// Runs a worker with the task `look`, and with the storage behind a proxy, until `judge` has returned.
    pub(crate) fn judge(&self, judge: impl AsyncFnOnce(&Desk)) {
        self.judge_with(&[], |builder| builder, judge);
    }

    /// Runs a worker like [`judge`](Self::judge), with more variables and tasks. Checks afterwards that no directory of
    /// a task is left, and that no other files were read or written.
    pub(crate) fn judge_with(
        &self,
        variables: &[(&str, String)],
        tasks: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
        judge: impl AsyncFnOnce(&Desk),
    ) {
        let before = self.neighbourhood();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        runtime.block_on(async {
            let desk = Desk {
                orchestrator: ScriptedOrchestrator::start().await,
                proxy: FaultProxy::start(self.storage.address()).await,
                storage: self.storage.clone(),
                ran: Arc::default(),
            };
            let ran = desk.ran.clone();
            let look = async move |params: Params<Value>, files: TaskFiles| {
                ran.fetch_add(1, Ordering::AcqRel);
                look(params, files).await
            };
            let builder = Worker::builder().config(self.config(&desk, variables)).task("look", look);
            let worker = tasks(builder).build().expect("a worker");
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let worker = worker.run_until(async { drop(stopped.await) });
            let judging = async {
                judge(&desk).await;
                drop(stop);
            };
            let ended =
                tokio::time::timeout(Duration::from_secs(150), async { tokio::join!(worker, judging) });
            let (stopped, ()) = ended.await.expect("it ends");
            let stopped = stopped.expect("it could run");
            assert!(stopped.is_clean(), "{stopped:?}");
        });
        drop(runtime);
        let left: Vec<_> =
            names_in(&self.tasks()).into_iter().filter(|name| !name.starts_with('.')).collect();
        assert!(left.is_empty(), "directories of tasks are left: {left:?}");
        assert_eq!(self.neighbourhood(), before, "nothing beside the tasks' files was written");
        for key in self.storage.keys("") {
            let object = self.storage.get(&key).unwrap_or_default();
            let is_secret = object.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
            assert!(
                !is_secret && !object.starts_with(b"root:"),
                "`{key}` has the content of a file that no task may read"
            );
        }
        assert!(self.storage.open_uploads().is_empty(), "{:?}", self.storage.open_uploads());
    }

    fn config(&self, desk: &Desk, variables: &[(&str, String)]) -> WorkerConfig {
        let own = [
            ("ORCHESTRATOR_URL", desk.orchestrator.url()),
            ("WORKER_TOKEN", "any".to_owned()),
            ("WORKER_ID", "w-1".to_owned()),
            ("TASK_FILES_DIR", self.tasks().display().to_string()),
        ];
        let storage = self.storage.variables_at(&desk.proxy.url());
        let all = own.into_iter().chain(storage).chain(variables.iter().cloned());
        WorkerConfig::from_variables(all.map(|(name, value)| (name.to_owned(), value)))
    }

    /// Returns the files beside those of tasks, with their contents.
    fn neighbourhood(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for file in files_below(self.directory.path()) {
            if !file.starts_with(self.tasks()) {
                let content = fs::read(&file).unwrap_or_default();
                found.insert(file, content);
            }
        }
        found
    }
}

impl Desk {
    /// Runs a task, and returns its result.
    pub(crate) async fn result(&self, name: &str, params: Value) -> Value {
        self.result_of(testkit::task(name, params)).await
    }

    /// Runs a task that may have more fields, and returns its result.
    pub(crate) async fn result_of(&self, task: Value) -> Value {
        let id = task["task_id"].as_str().expect("it has one").to_owned();
        self.orchestrator.push_task(&task);
        let result = self.orchestrator.wait_for_result(&id).await;
        assert!(!result.to_string().contains(SECRET), "{result}");
        result
    }

    /// Runs `look` with these params, and checks that it fails with this code, and with `words` in the message, before
    /// its handler is called. Returns the result.
    pub(crate) async fn refused(&self, params: Value, code: &str, words: &str) -> Value {
        let ran = self.ran();
        let result = self.result("look", params).await;
        failed(&result, code, words);
        assert_eq!(self.ran(), ran, "the handler must not run: {result}");
        result
    }

    /// Returns the number of times that the handler of `look` was called.
    pub(crate) fn ran(&self) -> usize {
        self.ran.load(Ordering::Acquire)
    }

    /// Adds a fault to the proxy.
    pub(crate) fn add(&self, rule: Rule) {
        self.proxy.add(rule);
    }

    /// Puts an object into the bucket.
    pub(crate) async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let (storage, key, bytes) = (self.storage.clone(), key.to_owned(), bytes.into());
        let put = tokio::task::spawn_blocking(move || storage.put(&key, bytes));
        put.await.expect("it is written");
    }

    /// Returns an object of the bucket.
    pub(crate) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (storage, key) = (self.storage.clone(), key.to_owned());
        tokio::task::spawn_blocking(move || storage.get(&key)).await.expect("it is read")
    }

    /// Returns the address of an object.
    pub(crate) fn uri(&self, key: &str) -> String {
        self.storage.uri(key)
    }
}

/// Checks that a result is a failure with this code, and with `words` in the message.
#[track_caller]
pub(crate) fn failed(result: &Value, code: &str, words: &str) {
    let error = &result["error"];
    assert_eq!((&result["status"], &error["code"]), (&json!("failure"), &json!(code)), "{result}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{words}: {result}");
}

/// A handler that describes each path in its params: a file by its name, its size and a checksum; a directory by its
/// files.
async fn look(Params(params): Params<Value>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let root = files.path_to("x").await?;
    let root = root.parent().expect("the task's directory").to_owned();
    let seen = tokio::task::spawn_blocking(move || seen(&params, &root)).await?;
    Ok(Json(json!({ "seen": seen })))
}

fn seen(value: &Value, root: &Path) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), seen(value, root))).collect()
        }
        Value::Array(values) => values.iter().map(|value| seen(value, root)).collect(),
        Value::String(text) if Path::new(text).starts_with(root) => {
            let path = Path::new(text);
            if path.is_dir() {
                let files = files_below(path).into_iter().map(|file| {
                    let below = file.strip_prefix(path).expect("below it").display().to_string();
                    (below, described(&file))
                });
                files.collect()
            } else {
                described(path)
            }
        }
        other => other.clone(),
    }
}

fn described(file: &Path) -> Value {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let content = fs::read(file).expect("a file");
    json!([name, content.len(), sum(&content)])
}

/// Returns the description by `look` of a file with this name and content.
pub(crate) fn file(name: &str, content: &[u8]) -> Value {
    json!([name, content.len(), sum(content)])
}

/// Returns a checksum of a file.
fn sum(content: &[u8]) -> u64 {
    let step =
        |sum: u64, byte: &u8| (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    // Other JSON decoders do not support larger integers.
    content.iter().fold(0, step) >> 12
}

/// Returns this many bytes, no two parts of which are alike. Each `seed` gives other bytes.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let word = |number: u64| (number ^ (seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..length.div_ceil(8) as u64).flat_map(word).collect();
    bytes.truncate(length);
    bytes
}

/// Returns every file and link below a directory, in order.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the names in a directory, in order.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
