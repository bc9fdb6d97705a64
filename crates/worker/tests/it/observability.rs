//! Health, readiness and metrics of the example program, and what a full disk does.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Answer, Endpoint, PATIENCE, Process, Script, ScriptedOrchestrator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::support::{program, push, run, until, wait_for_heartbeat};

struct Watched {
    orchestrator: ScriptedOrchestrator,
    process: Process,
    address: String,
}

impl Watched {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
        let all: Vec<_> = [("WORKER_HOST", "127.0.0.1")].iter().chain(variables).copied().collect();
        let process = program(&orchestrator.url(), &all).start();
        let line = process.wait_for_line("health server listens").await;
        let address = line.rsplit_once("address=").expect("an address").1.trim().to_owned();
        Self { orchestrator, process, address }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), body.to_owned())
    }

    async fn ready(&self) -> (u16, Value) {
        let (status, body) = self.get("/ready").await;
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    async fn wait_for(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let (status, body) = self.get(path).await;
            if wanted(status, &body) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {status} {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn value(metrics: &str, sample: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

#[tokio::test]
async fn metrics_after_known_work_are_known_numbers() {
    let watched = Watched::start(&[("MAX_CONCURRENT_TASKS", "7")]).await;
    let orchestrator = &watched.orchestrator;
    for _ in 0..3 {
        run(orchestrator, "echo", json!({})).await;
    }
    run(orchestrator, "fail_const", json!({"const": "INVALID_INPUT_ERROR"})).await;
    run(orchestrator, "status", json!({"status": "a_status_of_its_own"})).await;
    run(orchestrator, "no_such_task", json!({})).await;
    let mut task = testkit::task("echo", json!({}));
    orchestrator.push_task(&task);
    orchestrator.wait_for_result(task["task_id"].as_str().expect("a text")).await;
    orchestrator.push_task(&task);
    task["params"] = json!("no object");
    task["task_id"] = json!("malformed");
    orchestrator.push_task(&task);
    orchestrator.wait_for_result("malformed").await;
    push(orchestrator, "sleep", json!({"seconds": 100}));
    let wanted = [
        (r#"avtomatika_worker_tasks_total{task="echo",outcome="success"}"#, 4.0),
        (r#"avtomatika_worker_tasks_total{task="fail_const",outcome="INVALID_INPUT_ERROR"}"#, 1.0),
        (r#"avtomatika_worker_tasks_total{task="status",outcome="custom_status"}"#, 1.0),
        (r#"avtomatika_worker_tasks_total{task="unknown",outcome="TRANSIENT_ERROR"}"#, 1.0),
        (r#"avtomatika_worker_tasks_not_run_total{reason="duplicate"}"#, 1.0),
        (r#"avtomatika_worker_tasks_not_run_total{reason="malformed"}"#, 1.0),
        (r#"avtomatika_worker_task_duration_seconds_count{task="echo"}"#, 4.0),
        ("avtomatika_worker_slots ", 7.0),
        ("avtomatika_worker_slots_in_use ", 1.0),
        ("avtomatika_worker_draining ", 0.0),
    ];
    let text = watched
        .wait_for("/metrics", |_, text| {
            wanted.iter().all(|(sample, number)| value(text, sample) == Some(*number))
        })
        .await;
    let of = |name: &str, labels: &str| {
        let url = format!("{}/", orchestrator.url().trim_end_matches('/'));
        let sample = format!(r#"avtomatika_worker_{name}{{orchestrator="{url}"{labels}}}"#);
        let short = sample.replace(&url, url.trim_end_matches('/'));
        value(&text, &sample).or_else(|| value(&text, &short)).unwrap_or_else(|| panic!("{sample} in {text}"))
    };
    assert!(of("orchestrator_up", "") > 0.0);
    assert!(of("orchestrator_registered", "") > 0.0);
    assert!(of("results_total", r#",verdict="acknowledged""#) >= 7.0);
    assert!(of("requests_total", r#",operation="heartbeat",outcome="answered""#) >= 1.0);
}

#[tokio::test]
async fn an_orchestrator_that_is_down_is_no_fault_of_the_process_but_it_is_not_ready() {
    let watched = Watched::start(&[]).await;
    watched.wait_for("/ready", |status, _| status == 200).await;
    let (_, body) = watched.ready().await;
    assert_eq!((&body["outbox"], &body["disk"]["low"]), (&json!(0), &Value::Null), "{body}");
    let one = &body["orchestrators"][0];
    assert_eq!(
        (&one["registered"], &one["up"], &one["rate_limited_for_seconds"]),
        (&json!(true), &json!(true), &json!({}))
    );
    watched.orchestrator.refuse().await;
    watched.orchestrator.drop_connections();
    watched.wait_for("/ready", |status, _| status == 503).await;
    assert_eq!(watched.get("/health").await, (200, "OK".to_owned()));
    watched.orchestrator.accept().await;
    watched.wait_for("/ready", |status, _| status == 200).await;
}

#[tokio::test]
async fn silence_after_429_is_told() {
    let watched = Watched::start(&[]).await;
    watched.orchestrator.answer_always(Endpoint::Poll, Answer::status(429));
    let body = watched.wait_for("/ready", |_, body| body.contains("\"poll\":")).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let left = body["orchestrators"][0]["rate_limited_for_seconds"]["poll"].as_f64().expect("a number");
    assert!((30.0..=66.0).contains(&left), "{left}");
    let text = watched.get("/metrics").await.1;
    assert!(text.contains(r#"operation="poll",outcome="rate_limited"} 1"#), "{text}");
}

/// Where a small file system can be mounted.
struct Tiny(tempfile::TempDir);

impl Tiny {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

#[tokio::test]
async fn a_full_disk_makes_the_worker_busy_until_there_is_space() {
    let Some(tiny) = Tiny::mount("300m") else {
        // Only root may mount; the decision is tested without.
        return;
    };
    let filler = tiny.path().join("filler");
    std::fs::write(&filler, vec![0; 280 << 20]).expect("written");
    let folder = tiny.path().join("payloads/below");
    let watched = Watched::start(&[("TASK_FILES_DIR", folder.to_str().expect("UTF-8"))]).await;
    watched.process.wait_for_line("too little of the disk is free").await;
    wait_for_heartbeat(&watched.orchestrator, |beat| {
        beat["status"] == "busy" && beat["supported_tasks"] == json!([])
    })
    .await;
    let (status, body) = watched.ready().await;
    assert_eq!((status, &body["disk"]["low"]), (503, &json!(folder)), "{body}");
    assert_eq!(value(&watched.get("/metrics").await.1, "avtomatika_worker_disk_low "), Some(1.0));
    let id = push(&watched.orchestrator, "echo", json!({}));
    std::fs::remove_file(&filler).expect("removed");
    watched.process.wait_for_line("there is enough space on the disk again").await;
    assert_eq!(watched.orchestrator.wait_for_result(&id).await["status"], "success");
    until(|| {
        watched.process.lines().iter().filter(|line| line.contains("too little of the disk is free")).count()
            == 1
    })
    .await;
}

/// A handler that blocks the runtime: the process says so itself, and is well again afterwards.
#[tokio::test]
async fn a_blocked_runtime_is_a_fault() {
    use avtomatika_worker::prelude::*;

    let orchestrator = ScriptedOrchestrator::start_with(Script::newer()).await;
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let config = crate::support::config(
        &orchestrator.url(),
        &[("WORKER_HOST", "127.0.0.1"), ("WORKER_PORT", &port.to_string())],
    );
    let (release, stop) = (CancellationToken::new(), CancellationToken::new());
    let (blocked, stopped) = (release.clone(), stop.clone());
    // A runtime of its own, on a thread that the handler blocks.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let hog = async move || {
            while !blocked.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let worker = Worker::builder().task("hog", hog).config(config).build().expect("a worker");
        runtime.block_on(async {
            tokio::select! {
                _ = worker.run_with_health_check() => {}
                () = stopped.cancelled() => {}
            }
        });
    });
    let address = format!("127.0.0.1:{port}");
    until(|| std::net::TcpStream::connect(&address).is_ok()).await;
    orchestrator.wait_for_open_polls(1).await;
    let health = async || {
        let mut stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    };
    assert!(health().await.starts_with("HTTP/1.1 200"));
    let id = push(&orchestrator, "hog", json!({}));
    let mut answer = health().await;
    let began = Instant::now();
    while !answer.starts_with("HTTP/1.1 503") && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = health().await;
    }
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("the runtime has been blocked for"),
        "{answer}"
    );
    release.cancel();
    orchestrator.wait_for_result(&id).await;
    assert!(health().await.starts_with("HTTP/1.1 200"));
    stop.cancel();
    thread.join().expect("it ends");
}
