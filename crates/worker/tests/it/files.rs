//! Files of tasks, with a storage in memory. Against real ones: the package `e2e`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use avtomatika_worker::files::{BlockingTaskFiles, FileErrorKind, InputDir, InputFile, OpenMode, OutputFile};
use avtomatika_worker::prelude::*;
use avtomatika_worker::testing::{TestRun, TestWorker};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

async fn with_objects(builder: avtomatika_worker::WorkerBuilder, objects: &[(&str, &str)]) -> TestWorker {
    let worker = TestWorker::new(builder);
    for (key, content) in objects {
        worker.put_object(&format!("s3://in/{key}"), *content).await;
    }
    worker
}

/// Says of each parameter what can be read at it.
async fn look(Params(params): Params<Value>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let root = files.path_to("x").await?;
    let root = root.parent().expect("the task's directory").to_owned();
    Ok(Json(json!({"seen": seen(&params, &root)})))
}

fn seen(value: &Value, root: &Path) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), seen(value, root))).collect()
        }
        Value::Array(values) => values.iter().map(|value| seen(value, root)).collect(),
        Value::String(text) if Path::new(text).is_absolute() => {
            let path = Path::new(text);
            let below =
                path.strip_prefix(root).map_or("elsewhere".into(), |below| below.display().to_string());
            if path.is_dir() {
                let mut names: Vec<_> = walk(path).iter().map(|file| seen(&json!(file), root)).collect();
                names.sort_by_key(ToString::to_string);
                json!({below: names})
            } else {
                json!([below, std::fs::read_to_string(path).expect("a file")])
            }
        }
        other => other.clone(),
    }
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn addresses_at_any_depth_become_files() {
    let worker = with_objects(
        Worker::builder().task("look", look),
        &[("a.txt", "one"), ("deep/b%20 é.txt", "two"), ("empty", "")],
    )
    .await;
    let params = json!({
        "file": "s3://in/a.txt",
        "nested": {"list": ["s3://in/deep/b%20 é.txt", 1.5, "s3:no", "text s3://in/a.txt"]},
        "again": "s3://in/a.txt",
        "empty": "s3://in/empty",
    });
    let run = worker.task("look").params(params).run().await;
    assert_eq!(
        run.data()["seen"],
        json!({
            "file": ["a.txt", "one"],
            "nested": {"list": [["b%20 é.txt", "two"], 1.5, "s3:no", "text s3://in/a.txt"]},
            "again": ["a.txt", "one"],
            "empty": ["empty", ""],
        }),
        "{:?}",
        run.result()
    );
}

#[tokio::test]
async fn names_that_collide_are_told_apart_and_kept() {
    let objects = [("1/a.txt", "1"), ("2/a.txt", "2"), ("3/A.TXT", "3"), ("4/input-2", "4")];
    let worker = with_objects(Worker::builder().task("look", look), &objects).await;
    let params = json!(["s3://in/1/a.txt", "s3://in/2/a.txt", "s3://in/3/A.TXT", "s3://in/4/input-2"]);
    let run = worker.task("look").params(json!({"all": params})).run().await;
    assert_eq!(
        run.data()["seen"]["all"],
        json!([["a.txt", "1"], ["input-2/a.txt", "2"], ["input-3/A.TXT", "3"], ["input-4/input-2", "4"]]),
        "{:?}",
        run.result()
    );
    // No object's name is that of a directory for others.
    let params = json!(["s3://in/4/input-2", "s3://in/1/a.txt", "s3://in/2/a.txt"]);
    let run = worker.task("look").params(json!({"all": params})).run().await;
    assert_eq!(
        run.data()["seen"]["all"],
        json!([["input-2", "4"], ["a.txt", "1"], ["input-3/a.txt", "2"]]),
        "{:?}",
        run.result()
    );
}

#[tokio::test]
async fn thousands_of_objects_of_one_name_are_told_apart_in_time() {
    let worker = TestWorker::new(Worker::builder().task("look", look));
    let uris: Vec<_> = (0..3000).map(|number| format!("s3://in/{number}/same")).collect();
    for uri in &uris {
        worker.put_object(uri, uri.clone()).await;
    }
    let run = worker.task("look").params(json!({"all": uris})).run().await;
    let seen = run.data()["seen"]["all"].as_array().expect("all of them").clone();
    assert_eq!(seen.len(), uris.len());
    for (seen, uri) in seen.iter().zip(&uris) {
        assert_eq!(seen[1], *uri, "{seen}");
    }
}

#[tokio::test]
async fn a_prefix_becomes_a_directory() {
    let objects = [("set/a", "1"), ("set/deep/b", "2"), ("set/Deep/B", "3"), ("set2/c", "no"), ("set", "no")];
    let worker = with_objects(Worker::builder().task("look", look), &objects).await;
    let run = worker.task("look").params(json!({"dir": "s3://in/set/", "none": "s3://in/none/"})).run().await;
    assert_eq!(
        run.data()["seen"],
        json!({"dir": {"set": [["set/Deep/B", "3"], ["set/a", "1"], ["set/deep/b", "2"]]}, "none": {"none": []}}),
        "{:?}",
        run.result()
    );
}

#[tokio::test]
async fn what_cannot_be_fetched_fails_the_task_before_its_handler() {
    let ran = Arc::new(Mutex::new(0));
    let counter = ran.clone();
    let builder = Worker::builder().task("count", async move || *counter.lock().expect("a count") += 1);
    let worker =
        with_objects(builder, &[("a", "1"), ("both", "file"), ("x/both", "1"), ("x/both/b", "2")]).await;
    for (uri, code, kind, said) in [
        ("s3://in/none", "PERMANENT_ERROR", "object_not_found", "`s3://in/none` does not exist"),
        ("s3://in/../a", "PERMANENT_ERROR", "security", "`s3://in/../a`"),
        ("s3://in/a\0", "PERMANENT_ERROR", "security", r"`s3://in/a\u{0}`"),
        ("s3://in//a", "PERMANENT_ERROR", "unusable_name", "`s3://in//a`"),
        ("s3://a b/c", "PERMANENT_ERROR", "unusable_name", "the bucket `a b`"),
        ("s3://in/x/", "PERMANENT_ERROR", "unusable_name", "both"),
    ] {
        let run = worker.task("count").params(json!({"in": [uri]})).run().await;
        assert_eq!(run.error_code(), Some(code), "{uri}: {:?}", run.result());
        assert_eq!(run.result()["error"]["details"]["type"], kind, "{uri}");
        assert!(
            run.error_message().is_some_and(|message| message.contains(said)),
            "{uri}: {:?}",
            run.result()
        );
    }
    let long = format!("s3://in/{}", "x".repeat(300));
    worker.put_object(&long, "1").await;
    let run = worker.task("count").params(json!({"in": long})).run().await;
    assert_eq!(run.result()["error"]["details"]["type"], "unusable_name", "{:?}", run.result());
    assert_eq!(*ran.lock().expect("a count"), 0);
}

#[derive(Deserialize)]
struct Typed {
    file: InputFile,
    #[serde(default)]
    dirs: Vec<InputDir>,
}

#[derive(Serialize)]
struct Made {
    copy: OutputFile,
}

async fn typed(Params(params): Params<Typed>, files: TaskFiles) -> Result<Json<Made>, TaskError> {
    let content = tokio::fs::read(&params.file).await?;
    let dirs = params.dirs.iter().filter(|dir| dir.is_dir()).count();
    Ok(Json(Made { copy: files.write(format!("{dirs}.txt"), content).await?.into() }))
}

#[tokio::test]
async fn types_say_what_is_a_file() {
    let worker = with_objects(Worker::builder().task("typed", typed), &[("a", "1"), ("dir/b", "2")]).await;
    let params = json!({"file": "s3://in/a", "dirs": ["s3://in/dir/"]});
    let run = worker.task("typed").params(params).run().await;
    let uri = run.data()["copy"].as_str().expect("an address");
    assert!(uri.starts_with("s3://avtomatika-payloads/task-") && uri.ends_with("/1.txt"), "{uri}");
    assert_eq!(worker.object(uri).await, Some(b"1".to_vec()));
    for (file, said) in [
        (json!("/etc/passwd"), "at `file`: `/etc/passwd` is not an input that was fetched"),
        (json!("s3://in/dir/"), "expected the address of an object"),
        (json!("text"), "`text` is not an input that was fetched"),
        (json!(5), "expected a string"),
    ] {
        let run = worker.task("typed").params(json!({"file": file})).run().await;
        assert_eq!(run.error_code(), Some("INVALID_INPUT_ERROR"), "{file}");
        assert!(run.error_message().is_some_and(|message| message.contains(said)), "{:?}", run.result());
    }
}

fn outputs(run: &TestRun) -> (&Value, &Value) {
    (run.data(), &run.result()["data_metadata"])
}

#[tokio::test]
async fn paths_at_any_depth_of_the_data_are_uploaded_and_told() {
    let builder = Worker::builder().task("make", async |files: TaskFiles| {
        let report = files.write("report.txt", "12345").await?;
        for name in ["out/a", "out/deep/b"] {
            files.write(name, name).await?;
        }
        let data = json!({
            "outer": {"list": [report, "plain text", "/etc/passwd", "/no/such"]},
            "report": report,
            "dir": files.path_to("out").await?,
            "none": files.path_to("none").await?,
        });
        Ok::<_, TaskError>(Outcome::status("made", data))
    });
    let worker = TestWorker::new(builder);
    let run = worker.task("make").run().await;
    let base = "s3://avtomatika-payloads/task-1";
    let (data, metadata) = outputs(&run);
    let report = format!("{base}/report.txt");
    assert_eq!(data["outer"]["list"], json!([report, "plain text", "/etc/passwd", "/no/such"]));
    assert_eq!((&data["report"], &data["dir"]), (&json!(report), &json!(format!("{base}/out/"))));
    assert!(data["none"].as_str().is_some_and(|path| path.ends_with("/none") && path.starts_with('/')));
    assert_eq!(run.status(), "made");
    let keys: Vec<_> = metadata.as_object().expect("told").keys().collect();
    assert_eq!(keys, ["dir", "outer.list[0]", "report"]);
    assert_eq!((&metadata["report"]["uri"], &metadata["report"]["size"]), (&json!(report), &json!(5)));
    assert!(metadata["report"]["etag"].as_str().is_some_and(|etag| !etag.is_empty() && !etag.contains('"')));
    assert_eq!(metadata["dir"], json!({"uri": format!("{base}/out/"), "size": 15}));
    assert_eq!(worker.object(&format!("{base}/out/deep/b")).await, Some(b"out/deep/b".to_vec()));
    assert_eq!(worker.object(&report).await, Some(b"12345".to_vec()));
}

#[tokio::test]
async fn large_files_go_and_come_in_parts() {
    let content: Vec<u8> = (0..(17 << 20) + 5).map(|number: u32| (number % 251) as u8).collect();
    let expected = content.clone();
    let builder = Worker::builder()
        .task("make", async move |files: TaskFiles| {
            Ok::<_, TaskError>(Json(json!({"large": files.write("large", &content).await?})))
        })
        .task("read", async move |Params(params): Params<Typed>| {
            let same = tokio::fs::read(&params.file).await? == expected;
            Ok::<_, TaskError>(Json(json!({"same": same})))
        });
    let worker = TestWorker::new(builder);
    let made = worker.task("make").run().await;
    assert_eq!(made.result()["data_metadata"]["large"]["size"], (17 << 20) + 5);
    let read = worker.task("read").params(json!({"file": made.data()["large"]})).run().await;
    assert_eq!(read.data(), &json!({"same": true}), "{:?}", read.result());
}

#[tokio::test]
async fn a_link_that_leads_out_is_not_uploaded() {
    let builder = Worker::builder()
        .task("link", async |files: TaskFiles| {
            let link = files.path_to("link").await?;
            std::os::unix::fs::symlink("/etc/passwd", &link)?;
            Ok::<_, TaskError>(Json(json!({"link": link})))
        })
        .task("dir", async |files: TaskFiles| {
            let link = files.path_to("out/link").await?;
            std::os::unix::fs::symlink("/etc/passwd", &link)?;
            Ok::<_, TaskError>(Json(json!({"dir": link.parent()})))
        });
    let worker = TestWorker::new(builder);
    for task in ["link", "dir"] {
        let run = worker.task(task).run().await;
        assert_eq!(run.error_code(), Some("PERMANENT_ERROR"), "{task}: {:?}", run.result());
        assert_eq!(run.result()["error"]["details"]["type"], "security", "{task}");
    }
    assert_eq!(worker.object("s3://avtomatika-payloads/task-1/link").await, None);
    assert_eq!(worker.object("s3://avtomatika-payloads/task-2/out/link").await, None);
}

#[tokio::test]
async fn files_in_the_data_of_a_failure_are_uploaded_and_one_that_cannot_be_leaves_the_failure() {
    async fn fails(Params(params): Params<Value>, files: TaskFiles) -> Result<(), TaskError> {
        let report = files.write("report", "12345").await?;
        let link = files.path_to("link").await?;
        std::os::unix::fs::symlink("/etc/passwd", &link)?;
        let path = if params["leads_out"] == true { link } else { report };
        Err(TaskError::new("MINE", "the handler's own").with_data(json!({"n": 1, "at": path})))
    }
    let worker = TestWorker::new(Worker::builder().task("fails", fails));
    let run = worker.task("fails").params(json!({"leads_out": false})).run().await;
    let uri = "s3://avtomatika-payloads/task-1/report";
    assert_eq!((run.status(), run.error_code()), ("failure", Some("MINE")), "{:?}", run.result());
    let (data, metadata) = outputs(&run);
    assert_eq!((data, &metadata["at"]["size"]), (&json!({"n": 1, "at": uri}), &json!(5)));
    assert_eq!(worker.object(uri).await, Some(b"12345".to_vec()));
    let run = worker.task("fails").params(json!({"leads_out": true})).run().await;
    assert_eq!((run.status(), run.error_code()), ("failure", Some("MINE")), "{:?}", run.result());
    assert_eq!(run.error_message(), Some("the handler's own"));
    assert_eq!((run.result().get("data"), run.result().get("data_metadata")), (None, None));
}

#[tokio::test]
async fn the_directory_is_gone_once_the_result_is_safe() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let builder = Worker::builder().task("write", async move |files: TaskFiles, context: TaskContext| {
        let path = files.write("a", "1").await?;
        told.lock().expect("paths").push(path);
        if context.task_id().as_str() == "task-2" { Err(TaskError::transient("no")) } else { Ok(()) }
    });
    let worker = TestWorker::new(builder);
    for _ in 0..2 {
        worker.task("write").run().await;
    }
    let paths = seen.lock().expect("paths").clone();
    let gone = async {
        while paths.iter().any(|path| path.parent().is_some_and(Path::exists)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(testkit::PATIENCE, gone).await.expect("both directories are gone");
}

#[tokio::test]
async fn nothing_of_a_cancelled_task_is_uploaded() {
    #[expect(clippy::needless_pass_by_value, reason = "an extractor")]
    fn stubborn(context: TaskContext, files: BlockingTaskFiles) -> Result<Json<Value>, TaskError> {
        let path = files.write("report", "x")?;
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        Ok(Json(json!({"report": path})))
    }
    let worker = TestWorker::new(Worker::builder().task("stubborn", blocking(stubborn)));
    let run = worker.task("stubborn").cancelled_after(Duration::from_millis(100)).run().await;
    assert_eq!(run.status(), "cancelled", "{:?}", run.result());
    let id = run.result()["task_id"].as_str().expect("an id");
    let address = format!("s3://avtomatika-payloads/{id}/report");
    assert_eq!(worker.object(&address).await, None, "{address}");
}

#[tokio::test]
async fn the_methods_of_a_handler_that_waits_and_of_one_that_blocks_are_the_same() {
    async fn waits(files: TaskFiles) -> Result<Json<Value>, TaskError> {
        files.write_json("j.json", json!({"n": 1})).await?;
        let path = files.write("up/a", "1").await?;
        let (whole, dir) = (files.upload_dir("").await?, files.upload_dir("up").await?);
        // In memory, an `ETag` is the number of a version.
        let file = files.upload_file(&path).await?;
        let uri = format!("{}up/a", whole.uri);
        assert_eq!((&file.uri, file.size, file.etag.is_some()), (&uri, Some(1), true));
        files.write("again", "earlier").await?;
        let again = files.download_verified(&uri, "again", &file).await?;
        let other = files.upload_file("j.json").await?;
        let differs = files.download_verified(&uri, "again", &other).await.expect_err("another").kind();
        assert_eq!(files.download_file(&uri, "again").await?, again);
        let json: Value = files.read_json("j.json").await?;
        let missing = files.read("none").await.expect_err("nothing there").kind();
        let out = files.path_to("../x").await.expect_err("leads out").kind();
        Ok(Json(
            json!({"json": json, "dir": dir.uri.ends_with("/up/"), "differs": differs == FileErrorKind::Integrity, "again": files.read_text(again).await?,
            "list": files.list().await?, "missing": missing == FileErrorKind::NotFound,
            "out": out == FileErrorKind::Forbidden, "exists": files.exists("up/a").await?}),
        ))
    }
    #[expect(clippy::needless_pass_by_value, reason = "an extractor")]
    fn blocks(files: BlockingTaskFiles) -> Result<Json<Value>, TaskError> {
        files.write_json("j.json", json!({"n": 1}))?;
        let path = files.write("up/a", "1")?;
        let (whole, dir) = (files.upload_dir("")?, files.upload_dir("up")?);
        // In memory, an `ETag` is the number of a version.
        let file = files.upload_file(&path)?;
        let uri = format!("{}up/a", whole.uri);
        assert_eq!((&file.uri, file.size, file.etag.is_some()), (&uri, Some(1), true));
        files.write("again", "earlier")?;
        let again = files.download_verified(&uri, "again", &file)?;
        let other = files.upload_file("j.json")?;
        let differs = files.download_verified(&uri, "again", &other).expect_err("another").kind();
        assert_eq!(files.download_file(&uri, "again")?, again);
        let json: Value = files.read_json("j.json")?;
        let missing = files.read("none").expect_err("nothing there").kind();
        let out = files.open("../x", OpenMode::READ).expect_err("leads out").kind();
        Ok(Json(
            json!({"json": json, "dir": dir.uri.ends_with("/up/"), "differs": differs == FileErrorKind::Integrity, "again": files.read_text(again)?,
            "list": files.list()?, "missing": missing == FileErrorKind::NotFound,
            "out": out == FileErrorKind::Forbidden, "exists": files.exists("up/a")?}),
        ))
    }
    let worker = TestWorker::new(Worker::builder().task("waits", waits).task("blocks", blocking(blocks)));
    for task in ["waits", "blocks"] {
        let run = worker.task(task).run().await;
        assert_eq!(
            run.data(),
            &json!({"json": {"n": 1}, "dir": true, "differs": true, "again": "1", "list": ["again", "j.json", "up"],
                "missing": true, "out": true, "exists": true}),
            "{task}: {:?}",
            run.result()
        );
    }
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn paths_elsewhere_in_the_directory_of_all_are_left_alone_with_a_warning() {
    async fn echo(Params(params): Params<Value>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
        let mut data = params;
        if data["own"] == true {
            files.write("own", "x").await?;
        }
        data["at"] = json!({"x": data["path"]});
        Ok(Json(data))
    }
    async fn root(files: TaskFiles) -> Result<Json<Value>, TaskError> {
        let own = files.path_to("x").await?;
        Ok(Json(json!({"root": own.ancestors().nth(2)})))
    }
    let worker = TestWorker::new(Worker::builder().task("echo", echo).task("root", root));
    let root = PathBuf::from(worker.task("root").run().await.data()["root"].as_str().expect("a path"));
    std::fs::create_dir_all(root.join("other")).expect("made");
    for own in [false, true] {
        // A directory, and nothing.
        for name in ["other", "none"] {
            let log = Log::default();
            let lines = log.clone();
            let subscriber =
                tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).finish();
            let _guard = tracing::subscriber::set_default(subscriber);
            let path = root.join(name);
            let run = worker.task("echo").params(json!({"own": own, "path": path})).run().await;
            assert_eq!(run.data()["at"]["x"], json!(path), "{own} {name}");
            let lines = String::from_utf8(log.0.lock().expect("the lock").clone()).expect("text");
            let warning = lines.lines().find(|line| line.contains("are not files of the task"));
            let warning = warning.unwrap_or_else(|| panic!("{own} {name}: no warning in {lines}"));
            assert!(
                warning.contains("WARN") && warning.contains(name) && warning.contains("task_id"),
                "{warning}"
            );
        }
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_for_a_path_is_no_file() {
    async fn long(files: TaskFiles) -> Result<Json<Value>, TaskError> {
        let own = files.write("own", "x").await?;
        let texts: Vec<_> = ["x".repeat(300), format!("{}a", "d/".repeat(3000))]
            .iter()
            .map(|name| own.with_file_name(name))
            .collect();
        Ok(Json(json!({"own": own, "texts": texts})))
    }
    let run = TestWorker::new(Worker::builder().task("long", long)).task("long").run().await;
    assert_eq!(run.result()["status"], "success", "{:?}", run.result());
    assert!(run.data()["own"].as_str().is_some_and(|own| own.starts_with("s3://")));
    let texts = run.data()["texts"].as_array().expect("a list");
    assert!(texts.iter().all(|text| text.as_str().is_some_and(|text| text.starts_with('/'))), "{texts:?}");
}

#[tokio::test]
async fn a_path_that_is_spelled_otherwise_is_a_file_of_the_tasks_all_the_same() {
    async fn spells(files: TaskFiles) -> Result<Json<Value>, TaskError> {
        let own = files.write("own", "x").await?.display().to_string();
        let texts: Vec<_> = ["//", "/./"].iter().map(|slash| own.replace('/', slash)).collect();
        Ok(Json(json!({"texts": texts})))
    }
    let run = TestWorker::new(Worker::builder().task("spells", spells)).task("spells").run().await;
    for text in run.data()["texts"].as_array().expect("a list") {
        assert!(text.as_str().is_some_and(|text| text.starts_with("s3://")), "{:?}", run.result());
    }
}
