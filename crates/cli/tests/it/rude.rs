//! Workers that misbehave, and terminals that take nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::Stopwatch;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::program::{LIMIT, command, until};
use crate::server::run_at;

/// A server whose standard error goes where the test says.
struct Dev {
    child: Child,
    url: String,
}

impl Dev {
    /// Starts it with a shell script as its worker.
    async fn start(script: &str, stderr: impl Into<Stdio>) -> Self {
        let args = ["dev", "--json", "--port", "0", "--s3-port", "0", "--", "sh", "-c", script];
        let mut command = Command::from(command(&args));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        let mut child = command.spawn().expect("started");
        let mut banner = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        in_time(BufReader::new(stdout).read_line(&mut banner)).await.expect("a banner");
        let banner: Value = serde_json::from_str(&banner).expect("JSON");
        Self { child, url: banner["url"].as_str().expect("an address").to_owned() }
    }

    /// Returns the lines that the server keeps of its worker, after a number.
    fn logs(&self, after: u64) -> Value {
        let address = self.url.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!(
            "GET /api/workers/dev/logs?after={after} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        // Before its first line, the server does not know the worker.
        if head.contains(" 404 ") { Value::Null } else { serde_json::from_str(body).expect("JSON") }
    }

    /// Waits until the worker has written a line.
    async fn wait_for_log(&self, text: &str) {
        let mut next = 0;
        until(text, async || {
            let logs = self.logs(next);
            next = logs["next"].as_u64().unwrap_or(0);
            logs["lines"].as_array()?.iter().any(|line| line["text"] == text).then_some(())
        })
        .await;
    }

    /// Ends it with a signal, within the time that it has.
    async fn end(&mut self) {
        let id = self.child.id().expect("it runs").to_string();
        let stopwatch = Stopwatch::start();
        let sent = Command::new("kill").args(["-INT", &id]).status().await.expect("sent");
        assert!(sent.success());
        let status = in_time(self.child.wait()).await.expect("an end");
        assert_eq!(status.code(), Some(0));
        assert!(stopwatch.took().is_below(Duration::from_secs(5)), "{:?}", stopwatch.took());
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

async fn wait_for_file(path: &Path) {
    until(&path.display().to_string(), async || path.exists().then_some(())).await;
}

/// A script that writes many lines, marks that with a file, and writes one more when another file is there.
fn talkative(folder: &Path) -> String {
    format!(
        "x=$(head -c 1000 /dev/zero | tr '\\0' x); i=0
        while [ $i -lt 4000 ]; do echo \"line $i $x\"; i=$((i + 1)); done
        touch {0}/done; while [ ! -e {0}/go ]; do sleep 0.05; done; echo again; exec sleep 600",
        folder.display()
    )
}

#[tokio::test]
async fn a_terminal_that_takes_nothing_stops_neither_the_worker_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&talkative(folder.path()), Stdio::piped()).await;
    // Four megabytes, of which nobody reads any.
    wait_for_file(&folder.path().join("done")).await;
    fs::write(folder.path().join("go"), "").unwrap();
    dev.wait_for_log("again").await;
    assert_eq!(run_at(&dev.url, &["workers"]).2, Some(0));
    dev.end().await;
}

#[tokio::test]
async fn lines_that_a_terminal_did_not_take_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&talkative(folder.path()), Stdio::piped()).await;
    wait_for_file(&folder.path().join("done")).await;
    dev.wait_for_log(&format!("line 3999 {}", "x".repeat(1000))).await;
    let mut stderr = BufReader::new(dev.child.stderr.take().expect("a pipe")).lines();
    let (mut shown, mut missing) = (0, 0);
    fs::write(folder.path().join("go"), "").unwrap();
    loop {
        let line = in_time(stderr.next_line()).await.expect("text").expect("it goes on");
        if line.starts_with("[dev] line ") {
            assert_eq!(missing, 0, "what is missing came after what is shown");
            shown += 1;
        } else if let Some(count) =
            line.strip_suffix(" lines are missing here: the terminal did not take them")
        {
            missing += count.parse::<u32>().expect("a number");
        } else if line == "[dev] again" {
            break;
        }
        // The last line may be among the missing ones, if the terminal is still behind.
        if shown + missing == 4001 {
            break;
        }
    }
    assert!(missing > 1000 && (4000..=4001).contains(&(shown + missing)), "{shown} {missing}");
    drop(stderr);
    dev.end().await;
}

#[tokio::test]
async fn a_worker_that_prints_a_gigabyte_takes_no_memory() {
    let script = "head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo finished; exec sleep 600";
    let mut dev = Dev::start(script, Stdio::null()).await;
    dev.wait_for_log("finished").await;
    if cfg!(target_os = "linux") {
        let id = dev.child.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a figure");
        let kib: u64 = most.trim().trim_end_matches(" kB").parse().expect("a number");
        assert!(kib < 400 * 1024, "{kib} KiB");
    }
    dev.end().await;
}

#[tokio::test]
async fn a_worker_that_prints_binary_is_shown_as_it_is_and_kept_as_text() {
    let script =
        "head -c 300000 /dev/urandom; echo; printf 'a\\377\\000b\\n'; echo finished >&2; exec sleep 600";
    let output = tempfile::tempfile().unwrap();
    let mut dev = Dev::start(script, output.try_clone().unwrap()).await;
    dev.wait_for_log("finished").await;
    dev.wait_for_log("a\u{fffd}\0b").await;
    dev.end().await;
    let mut file = tokio::fs::File::from_std(output);
    tokio::io::AsyncSeekExt::rewind(&mut file).await.unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.windows(11).any(|part| part == b"[dev] a\xff\0b\n"), "{} bytes", bytes.len());
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    let script = format!(
        "trap '' TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 0.05; done",
        id.display()
    );
    let mut dev = Dev::start(&script, Stdio::null()).await;
    wait_for_file(&id).await;
    dev.end().await;
    let id = fs::read_to_string(&id).unwrap();
    assert!(!Path::new("/proc").join(id.trim()).exists(), "{id}");
}
