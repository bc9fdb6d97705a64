//! A worker between a scripted orchestrator and a store, and what is around its files.

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

/// What nobody may read: it must not be found in any object, nor in any result.
pub(crate) const SECRET: &str = "the secret of the house next door";

/// A store, and a directory with the tasks' files in `tasks` and other people's things beside it.
pub(crate) struct Site {
    pub(crate) storage: Arc<Storage>,
    directory: TempDir,
}

/// A worker that runs in it.
pub(crate) struct Desk {
    pub(crate) orchestrator: ScriptedOrchestrator,
    /// What the worker takes for the store.
    pub(crate) proxy: FaultProxy,
    storage: Arc<Storage>,
    /// How often a handler was run.
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

    /// `TASK_FILES_DIR`.
    pub(crate) fn tasks(&self) -> PathBuf {
        self.directory.path().join("tasks")
    }

    /// A file beside it that nobody may touch.
    pub(crate) fn secret(&self) -> PathBuf {
        self.directory.path().join("neighbours/secret.txt")
    }

    /// Runs a worker with the task `look`, and the store behind a proxy, for as long as `judge` judges.
    pub(crate) fn judge(&self, judge: impl AsyncFnOnce(&Desk)) {
        self.judge_with(&[], |builder| builder, judge);
    }

    /// The same with other variables and tasks. Afterwards nothing is left, and nothing else was read or written.
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
            let (stop, told) = tokio::sync::oneshot::channel::<()>();
            let worker = worker.run_until(async { drop(told.await) });
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
            assert!(!is_secret && !object.starts_with(b"root:"), "`{key}` has what nobody may read");
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

    /// Everything beside the tasks' files, with what is in it.
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
    /// Has a task run, and gives its result.
    pub(crate) async fn result(&self, name: &str, params: Value) -> Value {
        self.result_of(testkit::task(name, params)).await
    }

    /// The same with a task that may have more in it.
    pub(crate) async fn result_of(&self, task: Value) -> Value {
        let id = task["task_id"].as_str().expect("it has one").to_owned();
        self.orchestrator.push_task(&task);
        let result = self.orchestrator.wait_for_result(&id).await;
        assert!(!result.to_string().contains(SECRET), "{result}");
        result
    }

    /// Has `look` run with these params; it has to fail like this, before its handler.
    pub(crate) async fn refused(&self, params: Value, code: &str, words: &str) -> Value {
        let ran = self.ran();
        let result = self.result("look", params).await;
        failed(&result, code, words);
        assert_eq!(self.ran(), ran, "the handler must not run: {result}");
        result
    }

    /// How often a handler was run.
    pub(crate) fn ran(&self) -> usize {
        self.ran.load(Ordering::Acquire)
    }

    /// From now on something goes wrong.
    pub(crate) fn add(&self, rule: Rule) {
        self.proxy.add(rule);
    }

    /// Puts an object into the bucket.
    pub(crate) async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let (storage, key, bytes) = (self.storage.clone(), key.to_owned(), bytes.into());
        let put = tokio::task::spawn_blocking(move || storage.put(&key, bytes));
        put.await.expect("it is written");
    }

    /// An object of the bucket.
    pub(crate) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (storage, key) = (self.storage.clone(), key.to_owned());
        tokio::task::spawn_blocking(move || storage.get(&key)).await.expect("it is read")
    }

    /// The address of an object.
    pub(crate) fn uri(&self, key: &str) -> String {
        self.storage.uri(key)
    }
}

/// A result is a failure of that code, with these words in its message.
#[track_caller]
pub(crate) fn failed(result: &Value, code: &str, words: &str) {
    let error = &result["error"];
    assert_eq!((&result["status"], &error["code"]), (&json!("failure"), &json!(code)), "{result}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{words}: {result}");
}

/// Says of each path in the params what is there: the size and the sum of a file's bytes, the files of a directory.
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

/// What `look` says of a file of this name and content.
pub(crate) fn file(name: &str, content: &[u8]) -> Value {
    json!([name, content.len(), sum(content)])
}

/// Different for any two contents that a test could confuse.
fn sum(content: &[u8]) -> u64 {
    let step =
        |sum: u64, byte: &u8| (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    // JSON of others has no larger integers.
    content.iter().fold(0, step) >> 12
}

/// That many bytes, no two parts of which are alike; other bytes for another `seed`.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let word = |number: u64| (number ^ (seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..length.div_ceil(8) as u64).flat_map(word).collect();
    bytes.truncate(length);
    bytes
}

/// Every file and link below a directory, in order.
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

/// The names in a directory.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
