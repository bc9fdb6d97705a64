//! `avtomatika dev` without workers.

use std::process::Stdio;

use testkit::Stopwatch;

use crate::program::{LIMIT, command, json_lines, printed, run, watched};
use crate::server::{Dev, run_at};

#[tokio::test]
async fn the_banner_tells_everything_that_a_worker_needs() {
    let mut dev = Dev::start(&[], &[]).await;
    json_lines("dev", &dev.banner.to_string());
    let url = dev.url().to_owned();
    assert_eq!(dev.banner["page"], format!("{url}/"));
    assert_eq!(dev.banner["state"], serde_json::Value::Null);
    assert_eq!(dev.banner["storage"]["bucket"], "avtomatika-payloads");
    assert_eq!(dev.run(&["workers"]).2, Some(0));

    let stopwatch = Stopwatch::start();
    dev.process.signal("INT");
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0), "{:?}", dev.process.lines());
    assert!(stopwatch.took().is_below(std::time::Duration::from_secs(5)), "{:?}", stopwatch.took());
    assert_eq!(dev.process.lines().len(), 1, "nothing else is printed: {:?}", dev.process.lines());
    assert_eq!(run_at(&url, &["workers"]).2, Some(69));
}

#[tokio::test]
async fn people_get_lines_to_paste() {
    let program = watched(&["dev", "--port", "0", "--s3-port", "0", "--token", "it's"]);
    let mut dev = program.start();
    let line = dev.wait_for_line("  server").await;
    let url = line.split_whitespace().next_back().expect("an address").to_owned();
    for name in ["S3_ENDPOINT_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_REGION", "S3_DEFAULT_BUCKET"] {
        dev.wait_for_line(&format!("  export {name}='")).await;
    }
    assert!(dev.printed(&format!("  export ORCHESTRATOR_URL='{url}'")), "{:?}", dev.lines());
    assert!(dev.printed(r"  export WORKER_TOKEN='it'\''s'"), "{:?}", dev.lines());
    dev.terminate();
    assert_eq!(dev.wait(LIMIT).await.code(), Some(0));
}

#[tokio::test]
async fn keys_and_token_are_random_unless_they_are_given() {
    let first = Dev::start(&[], &[]).await;
    let second = Dev::start(&["--no-storage"], &[("WORKER_TOKEN", "mine")]).await;
    let third = Dev::start(&["--token", "given"], &[("WORKER_TOKEN", "mine")]).await;
    let token = first.banner["token"].as_str().expect("a token");
    assert_eq!(token.len(), 32);
    assert_eq!((&second.banner["token"], &third.banner["token"]), (&"mine".into(), &"given".into()));
    assert_eq!(second.banner["storage"], serde_json::Value::Null);
    for key in ["access_key", "secret_key"] {
        assert_ne!(first.banner["storage"][key], third.banner["storage"][key]);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_holder() {
    let dev = Dev::start(&[], &[]).await;
    let port = |url: &serde_json::Value| {
        let url = url.as_str().expect("an address");
        url.rsplit_once(':').expect("a port").1.to_owned()
    };
    let (own, storage) = (port(&dev.banner["url"]), port(&dev.banner["storage"]["endpoint"]));
    let holder = format!("(process {})", dev.process.id().expect("it runs"));
    for (args, taken, option) in [
        (["dev", "--port", &own, "--s3-port", "0"], &own, "`--port 0`"),
        (["dev", "--port", "0", "--s3-port", &storage], &storage, "`--s3-port 0`"),
    ] {
        let (stdout, stderr, code) = run(&args);
        assert_eq!((stdout.as_str(), code), ("", Some(69)), "{stderr}");
        assert!(stderr.contains(&format!("port {taken} is taken")) && stderr.contains(option), "{stderr}");
        if cfg!(target_os = "linux") {
            assert!(stderr.contains("`avtomatika`") && stderr.contains(&holder), "{stderr}");
        }
    }
}

#[tokio::test]
async fn a_closed_terminal_ends_it_unless_that_is_ignored() {
    let mut dev = Dev::start(&[], &[]).await;
    dev.process.signal("HUP");
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0), "{:?}", dev.process.lines());

    // Ignored signals stay ignored in the programs that a shell starts. Linux says which they are.
    let script =
        format!("trap '' HUP; exec {} dev --json --port 0 --no-storage", env!("CARGO_BIN_EXE_avtomatika"));
    let mut process = testkit::Program::new("/bin/sh").args(["-c", &script]).clean_env().start();
    process.wait_for_line("{\"url\":").await;
    if cfg!(target_os = "linux") {
        let status = format!("/proc/{}/status", process.id().expect("it runs"));
        let status = std::fs::read_to_string(status).expect("it runs");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a set of signals");
        let ignored = u64::from_str_radix(ignored.trim(), 16).expect("digits");
        assert_eq!(ignored & 1, 1, "{status}");
    }
    process.terminate();
    assert_eq!(process.wait(LIMIT).await.code(), Some(0));
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (args, words) in [
        (&["dev", "--workers", "0", "--", "true"][..], "'--workers <N>'"),
        (&["dev", "--workers", "2"], "-- <COMMAND>..."),
        (&["dev", "--watch"], "-- <COMMAND>..."),
        (
            &["dev", "--watch", "/no/such/path", "--port", "0", "--s3-port", "0", "--", "true"],
            "`/no/such/path`",
        ),
        (&["dev", "--host", "no such host"], "`--host` is `no such host`"),
        (&["dev", "--host", "192.0.2.1"], "192.0.2.1"),
        (&["dev", "--port", "70000"], "'--port <PORT>'"),
        (&["dev", "--as", "1.0b20"], "'1.0b20' for '--as <VERSION>'"),
        (&["dev", "--as", "1.0b20"], "[possible values: 1.0b12, 1.0b30]"),
        (&["dev", "--blueprint", "/no/such/file"], "`/no/such/file`"),
    ] {
        let (stdout, stderr, code) = run(args);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_server_for_everybody_is_warned_about_and_a_missing_browser_is_said() {
    let mut dev = Dev::start(&["--host", "0.0.0.0", "--open"], &[("PATH", "/nowhere")]).await;
    assert!(dev.url().starts_with("http://127.0.0.1:"), "{}", dev.banner);
    dev.process.wait_for_line("warning: everybody who reaches 0.0.0.0:").await;
    dev.process.wait_for_line("warning: cannot open a browser: `xdg-open`").await;
    assert_eq!(dev.run(&["tasks"]).2, Some(0));
    dev.process.terminate();
    assert_eq!(dev.process.wait(LIMIT).await.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let temporary = tempfile::tempdir().unwrap();
    let mut dev = command(&["dev", "--port", "0", "--s3-port", "0"]);
    dev.env("TMPDIR", temporary.path());
    let (_, stderr, code) = printed(&dev.stdout(writer).stderr(Stdio::piped()).output().unwrap());
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "the files of the storage are removed");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_banner_that_cannot_be_printed_ends_it_in_order() {
    let temporary = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut dev = command(&["dev", "--port", "0", "--s3-port", "0"]);
    let output = dev.env("TMPDIR", temporary.path()).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let (_, stderr, code) = printed(&output);
    assert!(code == Some(1) && stderr.contains("cannot write to standard output"), "{code:?} {stderr}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
