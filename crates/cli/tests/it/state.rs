//! `avtomatika dev --state DIR`: what was acknowledged survives `kill -9`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use avtomatika_worker::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::program::{LIMIT, run, until, watched};
use crate::server::Dev;

/// A directory for the state, and the ports that its servers have one after the other.
struct Place {
    folder: TempDir,
    /// Those of the first server.
    ports: OnceLock<[String; 2]>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), ports: OnceLock::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts a server. Another program may have one of the ports for a moment: then it is tried again.
    async fn start(&self) -> Dev {
        let trying = async {
            loop {
                if let Some(dev) = self.try_to_start().await {
                    return dev;
                }
            }
        };
        tokio::time::timeout(LIMIT, trying).await.expect("the ports become free")
    }

    async fn try_to_start(&self) -> Option<Dev> {
        let free = ["0".to_owned(), "0".to_owned()];
        let [port, storage] = self.ports.get().unwrap_or(&free);
        let args = ["dev", "--json", "--port", port, "--s3-port", storage, "--state"];
        let mut process = watched(&args).args([self.path()]).start();
        let printing = process.wait_for_line("{\"url\":");
        let banner = tokio::select! {
            banner = printing => banner,
            ended = process.wait(LIMIT) => {
                let lines = process.lines();
                let is_taken = lines.iter().any(|line| line.contains("is taken"));
                assert!(ended.code() == Some(69) && is_taken, "{ended}: {lines:?}");
                return None;
            }
        };
        let banner: Value = serde_json::from_str(&banner).expect("JSON");
        self.ports.get_or_init(|| {
            [&banner["url"], &banner["storage"]["endpoint"]]
                .map(|url| url.as_str().and_then(|url| url.rsplit_once(':')).expect("a port").1.to_owned())
        });
        Some(Dev { process, banner })
    }
}

async fn kill(process: &mut Process) {
    process.kill();
    process.wait(LIMIT).await;
}

/// Sends a request; `None` if the whole answer did not arrive.
async fn ask(dev: &str, method: &str, path: &str, token: &str, body: &str) -> Option<(u16, String)> {
    let address = dev.strip_prefix("http://").expect("an address");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-worker-token: {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        let head = head.to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        // A chunked body ends with an empty chunk; here it is one piece.
        match length {
            Some(length) => (body.len() == length).then(|| (status, body.to_owned())),
            None => Some((status, body.strip_suffix("\r\n0\r\n\r\n")?.split_once("\r\n")?.1.to_owned())),
        }
    };
    tokio::time::timeout(LIMIT, exchange).await.ok()?
}

async fn get(dev: &Dev, path: &str) -> Value {
    let (status, body) = ask(dev.url(), "GET", path, "", "").await.expect("an answer");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {path}: {body}"))
}

/// What the server has acknowledged.
#[derive(Debug, Default, Clone)]
struct Acknowledged {
    /// The number in the parameters of each submitted task, by its job.
    submitted: BTreeMap<String, u64>,
    /// The number in the data of each result.
    results: BTreeMap<String, u64>,
    /// The contents of files, by their path.
    files: BTreeMap<String, String>,
    cancelled: Vec<String>,
}

/// One client of each kind, until the server is gone.
struct Clients {
    url: String,
    token: String,
    seen: Arc<Mutex<Acknowledged>>,
    next: Arc<AtomicUsize>,
}

impl Clients {
    async fn submit(self) -> Option<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed) as u64;
            // Every third one is for nobody, and cancelled.
            let name = if number.is_multiple_of(3) { "nobody" } else { "x" };
            let task = format!(r#"{{"type":"{name}","params":{{"n":  {number}}}}}"#);
            let (status, body) = ask(&self.url, "POST", "/api/tasks", "", &task).await?;
            assert_eq!(status, 202, "{body}");
            let job = serde_json::from_str::<Value>(&body).ok()?["job_id"].as_str()?.to_owned();
            self.seen.lock().expect("no panic").submitted.insert(job.clone(), number);
            if name == "nobody" {
                let (status, body) =
                    ask(&self.url, "POST", &format!("/api/tasks/{job}/cancel"), "", "{}").await?;
                assert_eq!(status, 200, "{body}");
                self.seen.lock().expect("no panic").cancelled.push(job);
            }
        }
    }

    async fn work(self, id: String) -> Option<()> {
        let hello = json!({"worker_id": id, "supported_tasks": ["x"]}).to_string();
        ask(&self.url, "POST", "/_worker/workers/register", &self.token, &hello).await?;
        loop {
            let path = format!("/_worker/workers/{id}/tasks/next?timeout=5");
            let (status, task) = ask(&self.url, "GET", &path, &self.token, "").await?;
            if status != 200 {
                continue;
            }
            let task: Value = serde_json::from_str(&task).ok()?;
            let number = task["params"]["n"].as_u64().expect("a number");
            let result = json!({"job_id": task["job_id"], "task_id": task["task_id"], "worker_id": id,
                "status": "success", "data": {"n": number}});
            let (_, answer) =
                ask(&self.url, "POST", "/_worker/tasks/result", &self.token, &result.to_string()).await?;
            if answer.contains("\"accepted\"") {
                let job = task["job_id"].as_str().expect("a text").to_owned();
                self.seen.lock().expect("no panic").results.insert(job, number);
            }
        }
    }

    async fn store(self) -> Option<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            // Some keys are replaced again and again.
            let path = format!("/api/files/avtomatika-payloads/..%2F{}", number % 40);
            let contents = format!("\"{number}\"");
            let (status, body) = ask(&self.url, "PUT", &path, "", &contents).await?;
            assert_eq!(status, 200, "{body}");
            self.seen.lock().expect("no panic").files.insert(path, contents);
        }
    }
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_when_the_server_is_killed() {
    let place = Place::new();
    let (seen, next) = (Arc::<Mutex<Acknowledged>>::default(), Arc::new(AtomicUsize::new(1)));
    for round in 1..=4_usize {
        let mut dev = place.start().await;
        let token = dev.banner["token"].as_str().expect("a token").to_owned();
        let clients = || Clients {
            url: dev.url().to_owned(),
            token: token.clone(),
            seen: seen.clone(),
            next: next.clone(),
        };
        let mut tasks = JoinSet::new();
        for number in 0..3 {
            tasks.spawn(clients().submit());
            tasks.spawn(clients().work(format!("w-{number}")));
        }
        tasks.spawn(clients().store());
        let enough = |seen: &Acknowledged| seen.results.len() >= 40 * round && seen.files.len() >= 10;
        until("enough is acknowledged", async || enough(&seen.lock().expect("no panic")).then_some(())).await;
        kill(&mut dev.process).await;
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no client has panicked");
        }
        let seen = seen.lock().expect("no panic").clone();
        check(&place, &seen).await;
    }
}

/// Starts another server, and checks that it knows everything.
async fn check(place: &Place, seen: &Acknowledged) {
    let mut dev = place.start().await;
    for (job, number) in &seen.submitted {
        let (status, task) =
            ask(dev.url(), "GET", &format!("/api/tasks/{job}"), "", "").await.expect("an answer");
        assert_eq!(status, 200, "{job} was acknowledged, and is lost: {task}");
        assert!(task.contains(&format!(r#""params":{{"n":  {number}}}"#)), "{task}");
        let task: Value = serde_json::from_str(&task).expect("JSON");
        if let Some(number) = seen.results.get(job) {
            assert_eq!(
                (&task["status"], &task["data"]),
                (&json!("finished"), &json!({"n": number})),
                "{task}"
            );
        } else if seen.cancelled.contains(job) {
            assert_eq!(task["status"], "cancelled", "{task}");
        }
    }
    for (path, contents) in &seen.files {
        let (status, found) = ask(dev.url(), "GET", path, "", "").await.expect("an answer");
        let found: u64 =
            found.trim_matches('"').parse().unwrap_or_else(|_| panic!("{path}: {status} {found}"));
        // A later one may have been stored although its answer did not arrive.
        assert!(
            status == 200 && found >= contents.trim_matches('"').parse().expect("a number"),
            "{path}: {found}"
        );
    }
    dev.process.terminate();
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0), "{:?}", dev.process.lines());
}

#[tokio::test]
async fn a_worker_that_lives_on_ends_its_task_as_if_nothing_had_happened() {
    let place = Place::new();
    let mut dev = place.start().await;
    let (calls, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let mut config = WorkerConfig::defaults().worker_token(dev.banner["token"].as_str().expect("a token"));
    config.set("ORCHESTRATOR_URL", dev.url()).expect("valid");
    config.set("WORKER_ID", "mine").expect("valid");
    let (counted, opened) = (calls.clone(), gate.clone());
    let handler = async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        opened.notified().await;
        Json(json!({"done": true}))
    };
    let worker = Worker::builder().config(config).task("x", handler).build().expect("a worker");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = worker.run_until(async { drop(stopped.await) });
    let story = async {
        let (id, _, code) = run_blocking(dev.url(), &["submit", "x"]).await;
        assert_eq!(code, Some(0));
        until("the handler is called", async || (calls.load(Ordering::Relaxed) > 0).then_some(())).await;
        kill(&mut dev.process).await;
        let mut dev = place.start().await;
        gate.notify_one();
        let path = format!("/api/tasks/{}", id.trim());
        // It is queued for a moment if a heartbeat overtakes the result.
        let task = until("the end of the task", async || {
            let task = get(&dev, &path).await;
            (!["running", "queued"].iter().any(|status| task["status"] == *status)).then_some(task)
        })
        .await;
        assert_eq!((&task["status"], &task["data"]), (&json!("finished"), &json!({"done": true})), "{task}");
        assert_eq!(
            (&task["attempts"], task["tries"].as_array().map_or(0, Vec::len)),
            (&json!(1), 0),
            "{task}"
        );
        stop.send(()).expect("it runs");
        dev.process.terminate();
        dev.process.wait(LIMIT).await;
    };
    let (ended, ()) = tokio::join!(working, story);
    ended.expect("it ran");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// Runs a command of the client on another thread.
async fn run_blocking(url: &str, args: &[&str]) -> crate::program::Printed {
    let (url, args): (String, Vec<String>) = (url.to_owned(), args.iter().map(ToString::to_string).collect());
    let command = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        crate::server::run_at(&url, &args)
    });
    command.await.expect("no panic")
}

#[tokio::test]
async fn token_keys_and_faults_stay_and_the_banner_names_the_directory() {
    let place = Place::new();
    let mut dev = place.start().await;
    crate::program::json_lines("dev", &dev.banner.to_string());
    assert_eq!(dev.banner["state"], place.path().to_str().expect("text"));
    let fault = r#"{"slow": {"on": true, "rate": 0.25, "for": 600}}"#;
    let (status, body) = ask(dev.url(), "PUT", "/api/faults", "", fault).await.expect("an answer");
    assert_eq!(status, 200, "{body}");
    kill(&mut dev.process).await;
    let mut again = place.start().await;
    for member in ["token", "storage", "state"] {
        assert_eq!(again.banner[member], dev.banner[member]);
    }
    let slow = get(&again, "/api/faults").await["faults"]["slow"].clone();
    assert_eq!(
        (&slow["on"], &slow["rate"], &slow["for"]),
        (&json!(true), &json!(0.25), &json!(600.0)),
        "{slow}"
    );
    again.process.terminate();
    assert_eq!(again.process.wait(LIMIT).await.code(), Some(0));
    // A given token wins, and is not kept.
    let path = place.path();
    let state = ["--state", path.to_str().expect("text")];
    let given = Dev::start(&[&state[..], &["--token", "given"]].concat(), &[]).await;
    assert_eq!(given.banner["token"], "given");
}

#[tokio::test]
async fn ctrl_c_is_obeyed_while_the_state_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody ever writes into this pipe, so that reading it takes for ever.
    let pipe = folder.path().join("version");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("started").success());
    let path = folder.path().to_str().expect("text");
    let mut process = watched(&["dev", "--port", "0", "--s3-port", "0", "--state", path]).start();
    // A pipe can only be opened without waiting when somebody reads it.
    let sender = async || tokio::net::unix::pipe::OpenOptions::new().open_sender(&pipe).ok();
    let _open = until("the version is read", sender).await;
    process.signal("INT");
    assert_eq!(process.wait(LIMIT).await.code(), Some(0), "{:?}", process.lines());
}

#[tokio::test]
async fn a_second_server_is_refused_with_the_process_of_the_first() {
    let place = Place::new();
    let dev = place.start().await;
    let path = place.path();
    let args = ["dev", "--port", "0", "--s3-port", "0", "--state", path.to_str().expect("text")];
    let (stdout, stderr, code) = run(&args);
    assert_eq!((stdout.as_str(), code), ("", Some(69)), "{stderr}");
    let holder = format!("in use by process {}", dev.process.id().expect("it runs"));
    assert!(stderr.contains(&holder) && stderr.contains(path.to_str().expect("text")), "{stderr}");
}

#[test]
fn a_directory_that_cannot_be_written_is_a_wrong_argument() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("written");
    for path in [file.join("below"), file.clone(), PathBuf::from("/proc/self/state")] {
        let path = path.to_str().expect("text");
        let (stdout, stderr, code) = run(&["dev", "--port", "0", "--s3-port", "0", "--state", path]);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{path}: {stderr}");
        assert!(stderr.contains(path), "{path}: {stderr}");
    }
}

/// Starts a server on a directory whose contents cannot be read, and returns the line that says so.
async fn set_aside(path: &Path) -> String {
    let mut dev = Dev::start(&["--state", path.to_str().expect("text")], &[]).await;
    let line = dev.process.wait_for_line("cannot be read").await;
    let lines = dev.process.lines().iter().filter(|line| !line.starts_with('{')).count();
    assert_eq!(lines, 1, "{:?}", dev.process.lines());
    assert_eq!(get(&dev, "/api/tasks").await["total"], 0);
    dev.process.terminate();
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0));
    line
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_the_server_starts_empty() {
    let place = Place::new();
    let mut dev = place.start().await;
    ask(dev.url(), "POST", "/api/tasks", "", r#"{"type": "x"}"#).await.expect("an answer");
    kill(&mut dev.process).await;
    let path = place.path();
    let database = path.join("state.redb");
    let bytes = std::fs::read(&database).expect("read");
    std::fs::write(&database, &bytes[..bytes.len() / 2]).expect("written");
    let line = set_aside(&path).await;
    assert!(line.contains("damaged") && line.contains(&format!("{}/aside-", path.display())), "{line}");
    std::fs::write(path.join("version"), "7").expect("written");
    let line = set_aside(&path).await;
    assert!(line.contains("format 7"), "{line}");
    // It was only moved.
    let entries = std::fs::read_dir(&path).expect("a directory").flatten();
    let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("aside-"));
    assert_eq!(aside.filter(|entry| entry.path().join("state.redb").exists()).count(), 2);
}

#[tokio::test]
async fn a_full_disk_is_said_to_clients_and_read_requests_go_on() {
    let place = Place::new();
    let script = format!(
        "trap '' XFSZ; ulimit -f 2048; exec {} dev --json --port 0 --s3-port 0 --state {}",
        env!("CARGO_BIN_EXE_avtomatika"),
        place.path().display()
    );
    let process = testkit::Program::new("sh").args(["-c", &script]).clean_env().start();
    let banner = process.wait_for_line("{\"url\":").await;
    let mut dev = Dev { process, banner: serde_json::from_str(&banner).expect("JSON") };
    let task = json!({"type": "x", "params": {"text": "x".repeat(100_000)}}).to_string();
    let mut accepted = 0;
    let (status, body) = loop {
        let (status, body) = ask(dev.url(), "POST", "/api/tasks", "", &task).await.expect("an answer");
        if status != 202 {
            break (status, body);
        }
        accepted += 1;
        assert!(accepted < 100, "the limit of the size has no effect");
    };
    assert!(status == 507 && body.contains("the state cannot be written"), "{status}: {body}");
    assert!(get(&dev, "/api/tasks").await["total"].as_u64() >= Some(accepted));
    kill(&mut dev.process).await;
    let dev = place.start().await;
    let total = get(&dev, "/api/tasks").await["total"].as_u64().expect("a number");
    assert!(total >= accepted, "{total} of {accepted}");
}
