//! `avtomatika demo`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::program::{LIMIT, command, printed, run, watched};

/// The time in which a signal ends the demo. A worker would wait 5 s for a handler that cannot be interrupted.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Returns the paths in the last column of the output.
fn paths(stdout: &str) -> Vec<PathBuf> {
    stdout.lines().map(|line| line.rsplit("  ").next().expect("a column").into()).collect()
}

/// Runs the demo with this temporary directory.
fn demo_in(temporary: &Path, args: &[&str]) -> (String, String, Option<i32>) {
    printed(&command(&[&["demo"], args].concat()).env("TMPDIR", temporary).output().expect("started"))
}

#[test]
fn three_pictures_are_resized_and_listed() {
    let temporary = tempfile::tempdir().unwrap();
    let (stdout, stderr, code) = demo_in(temporary.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");

    let paths = paths(&stdout);
    assert_eq!(paths.len(), 3);
    for path in &paths {
        assert!(path.starts_with(temporary.path()), "{path:?}");
        assert_eq!(image::image_dimensions(path).unwrap(), (400, 300), "{path:?}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&format!("{}/avtomatika-demo-[A-Za-z0-9]+", temporary.path().display()), "[DIR]");
    settings.add_filter(r" +[\d.]+ KiB", " [SIZE]");
    settings.bind(|| insta::assert_snapshot!("results", stdout));

    // Without a terminal, plain lines are printed, one for each stage.
    assert!(!stderr.contains(['\r', '\u{1b}']), "{stderr:?}");
    for name in ["landscape.jpg", "mandelbrot.jpg", "pattern.png"] {
        let stages: Vec<_> =
            stderr.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
        assert_eq!(stages.first(), Some(&"queued (0%)"), "{stderr}");
        assert_eq!(stages.last(), Some(&"finished (100%)"), "{stderr}");
        assert!(stages.contains(&"encoding (85%)"), "{stderr}");
    }
}

#[test]
fn a_directory_and_a_width_may_be_given_and_nothing_is_overwritten() {
    let parent = tempfile::tempdir().unwrap();
    let output = parent.path().join("not there/yet ü'\"");
    let output = output.to_str().unwrap();
    let (stdout, stderr, code) = run(&["demo", "--output", output, "--width", "33"]);
    assert_eq!(code, Some(0), "{stderr}");
    let first = &paths(&stdout)[0];
    assert_eq!(first, &Path::new(output).join("landscape-33.jpg"));
    assert_eq!(image::image_dimensions(first).unwrap(), (33, 25));

    fs::write(first, "mine").unwrap();
    let (stdout, stderr, code) = run(&["demo", "--output", output, "--width", "33"]);
    assert_eq!((stdout.as_str(), code), ("", Some(1)));
    assert!(stderr.starts_with("error: `") && stderr.contains("already exists"), "{stderr}");
    assert!(stderr.contains("\nhint: choose another directory with `--output`"), "{stderr}");
    assert_eq!(fs::read(first).unwrap(), b"mine");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let (stdout, stderr, code) = demo_in(&parent.path().join("missing"), &[]);
    assert_eq!((stdout.as_str(), code), ("", Some(1)));
    assert!(stderr.contains("error: cannot create a directory in `"), "{stderr}");
    assert!(
        stderr.contains("hint: set the variable `TMPDIR` to a directory that can be written"),
        "{stderr}"
    );
    // Another directory for the pictures is no way out, since the storage needs one as well.
    let output = parent.path().join("output");
    let (_, stderr, code) = demo_in(&parent.path().join("missing"), &["--output", output.to_str().unwrap()]);
    assert!(code == Some(1) && stderr.contains("hint: set the variable `TMPDIR`"), "{stderr}");

    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let (_, stderr, code) = run(&["demo", "--output", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("error: cannot create `"), "{stderr}");
}

#[test]
fn variables_of_a_real_worker_do_not_affect_it() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = command(&["demo", "--width", "8"]);
    demo.env("TMPDIR", temporary.path());
    for (name, value) in [
        ("WORKER_ID", "not an id!"),
        ("WORKER_TOKEN", "\n"),
        ("ORCHESTRATOR_URL", "http://192.0.2.1:1"),
        ("ORCHESTRATORS_CONFIG", "[{"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("MAX_CONCURRENT_TASKS", "none"),
        ("TLS_CA_PATH", "/nowhere"),
        ("LOG_LEVEL", "whatever"),
    ] {
        demo.env(name, value);
    }
    let (stdout, stderr, code) = printed(&demo.output().unwrap());
    assert_eq!((stdout.lines().count(), code), (3, Some(0)), "{stderr}");
}

#[test]
fn the_log_is_shown_with_verbose() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = |level: &str| {
        let mut demo = command(&["demo", "--width", "8", "--verbose"]);
        printed(&demo.env("TMPDIR", temporary.path()).env("LOG_LEVEL", level).output().unwrap())
    };
    let (stdout, stderr, code) = demo("info");
    assert_eq!((stdout.lines().count(), code), (3, Some(0)), "{stderr}");
    assert!(stderr.contains("avtomatika_worker") && stderr.contains("avtomatika_dev"), "{stderr}");
    assert!(!stderr.contains("WARN") && !stderr.contains("ERROR"), "{stderr}");

    let (_, stderr, _) = demo("error");
    assert!(!stderr.contains("INFO"), "{stderr}");

    let (_, stderr, code) = demo("loud");
    assert_eq!(code, Some(2));
    assert!(stderr.contains("error: `LOG_LEVEL` is `loud`, expected"), "{stderr}");
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    let temporary = tempfile::tempdir().unwrap();
    for args in
        [&["demo", "--width", "8"][..], &["demo", "--width", "8", "--keep"], &["--help"], &["--version"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command(args);
        child.env("TMPDIR", temporary.path()).stdout(writer).stderr(Stdio::piped());
        let (_, stderr, code) = printed(&child.output().unwrap());
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{args:?}: {stderr}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full");
    // Not every system has this device.
    let Ok(full) = full else { return };
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = command(&["demo", "--width", "8"]);
    let output = demo.env("TMPDIR", temporary.path()).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let (_, stderr, code) = printed(&output);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("error: cannot write to standard output: "), "{stderr}");
}

#[tokio::test]
async fn a_signal_before_the_end_ends_it_cleanly_and_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let temporary = tempfile::tempdir().unwrap();
        let program = watched(&["demo", "--width", "6000"]).env("TMPDIR", temporary.path());
        let mut demo = program.start();
        demo.wait_for_line("queued").await;
        let stopwatch = testkit::Stopwatch::start();
        demo.signal(signal);
        assert_eq!(demo.wait(LIMIT).await.code(), Some(code), "{:?}", demo.lines());
        assert!(stopwatch.took().is_below(AT_ONCE), "{:?}", stopwatch.took());
        assert!(demo.printed("Interrupted"), "{:?}", demo.lines());
        let left: Vec<_> =
            fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}: {:?}", left.iter().map(fs::read_dir).collect::<Vec<_>>());
    }
}
