//! Compiler messages for users' mistakes. `UPDATE_MESSAGES=1` writes the files anew after a deliberate change.
//!
//! Each program is given to the compiler with the crates that this test is linked with: a project of its own for them
//! would build every dependency once more.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use avtomatika_worker::handler::IntoOutcome;
use avtomatika_worker::prelude::*;
use serde_json::Value;

/// Crates that the programs name.
const CRATES: [&str; 4] = ["avtomatika_worker", "garde", "serde", "tower"];

#[test]
fn mistakes_are_explained() {
    let crates = Crates::of_this_test();
    let output = tempfile::tempdir().expect("a directory");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut programs: Vec<_> =
        [folder.clone(), folder.join("debug_handler")].iter().flat_map(files).collect();
    programs.retain(|file| file.extension() == Some(OsStr::new("rs")));
    programs.sort();
    assert!(!programs.is_empty(), "there are no programs");
    let wrong: Vec<_> = programs.iter().filter_map(|program| crates.check(program, output.path())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn files(folder: &PathBuf) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).expect("the programs").map(|entry| entry.expect("a file").path())
}

/// Handlers of every kind, which `debug_handler` leaves in peace.
mod right {
    use super::*;

    #[derive(Clone)]
    pub(super) struct App(u32);

    impl avtomatika_worker::extract::FromRef<App> for u32 {
        fn from_ref(app: &App) -> Self {
            app.0
        }
    }

    impl App {
        #[debug_handler]
        pub(super) async fn named(State(app): State<Self>) -> Result<(), TaskError> {
            Self::work(app.0).await;
            Ok(())
        }

        #[debug_handler]
        pub(super) async fn unnamed(State(app): State<App>) -> Result<Json<u32>, std::io::Error> {
            tokio::task::yield_now().await;
            Ok(Json(app.0))
        }

        async fn work(_number: u32) {
            tokio::task::yield_now().await;
        }
    }

    /// Documented, and with a pattern.
    #[debug_handler(state = App)]
    pub(super) async fn part(State(number): State<u32>, mut request: TaskRequest) -> impl IntoOutcome {
        request.extensions_mut().insert(number);
        Json(number)
    }

    #[debug_handler(state = App)]
    pub(super) fn boxed(_context: TaskContext) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> {
        Box::pin(async { Outcome::success() })
    }

    #[debug_handler(blocking, state = App)]
    pub(super) fn blocks(RawParams(params): RawParams, _files: BlockingTaskFiles) -> Result<(), TaskError> {
        Err(TaskError::permanent(params.get().to_owned()))
    }
}

#[test]
fn handlers_that_are_right_stay_as_they_are() {
    let builder = Worker::builder::<right::App>();
    let builder = builder.task("named", right::App::named).task("unnamed", right::App::unnamed);
    let builder = builder.task("part", right::part).task("boxed", right::boxed);
    drop(builder.task("blocks", blocking(right::blocks)));
}

/// The compiled crates that this test is linked with.
struct Crates {
    /// The directory of all compiled crates.
    folder: PathBuf,
    /// A name and a file for each of [`CRATES`].
    named: Vec<(&'static str, PathBuf)>,
}

impl Crates {
    /// Cargo notes beside each compiled crate the fingerprints of the crates that it was compiled with. That tells which
    /// file this test is linked with, where there are several of one crate with different features.
    fn of_this_test() -> Self {
        let test = std::env::current_exe().expect("the test's own path");
        let folder = test.parent().expect("…/target/debug/deps/it-…").to_owned();
        let notes = folder.with_file_name(".fingerprint");
        let hash = test.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("it-"));
        let own = format!("{}-{}", env!("CARGO_PKG_NAME"), hash.expect("it-…"));
        let own = fs::read(notes.join(own).join("test-integration-test-it.json"));
        let own: Value = serde_json::from_slice(&own.expect("cargo's notes on this test")).expect("JSON");
        let dependencies = own["deps"].as_array().expect("its dependencies");
        let named = CRATES.map(|name| {
            let dependency = dependencies.iter().find(|dependency| dependency[1] == name);
            let fingerprint = dependency.and_then(|dependency| dependency[3].as_u64()).expect(name);
            // The files hold the bytes of the number in the order of small machines.
            let fingerprint = format!("{:016x}", fingerprint.swap_bytes());
            let mut all =
                fs::read_dir(&notes).expect("cargo's notes").map(|entry| entry.expect("one").path());
            let found = all.find(|of| {
                fs::read_to_string(of.join(format!("lib-{name}"))).is_ok_and(|text| text == fingerprint)
            });
            let found = found.unwrap_or_else(|| panic!("cargo's notes on `{name}` are missing"));
            let (_, hash) = found.to_str().and_then(|path| path.rsplit_once('-')).expect("a hash");
            (name, folder.join(format!("lib{name}-{hash}.rlib")))
        });
        Self { folder, named: named.into() }
    }

    /// Compares the compiler's messages with the file beside the program; gives both where they differ.
    fn check(&self, program: &Path, output: &Path) -> Option<String> {
        let file = program.with_extension("stderr");
        let (compiles, found) = self.compile(program, output);
        assert!(!compiles, "`{}` compiles", program.display());
        if std::env::var_os("UPDATE_MESSAGES").is_some() {
            fs::write(&file, found).expect("written");
            return None;
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        (normal(&found) != normal(&expected))
            .then(|| format!("{}\nexpected:\n{expected}\nfound:\n{found}", program.display()))
    }

    /// Whether the program compiles, and the compiler's messages.
    fn compile(&self, program: &Path, output: &Path) -> (bool, String) {
        // The library was compiled there: its paths in messages begin there, and its lines are shown if it is found.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace");
        let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        compiler.current_dir(root).arg(program.strip_prefix(root).expect("a program of the workspace"));
        compiler.args(["--edition=2024", "--emit=metadata", "--color=never", "--verbose", "--out-dir"]);
        compiler.arg(output).arg("-L").arg(format!("dependency={}", self.folder.display()));
        for (name, file) in &self.named {
            compiler.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        let ended = compiler.output().expect("the compiler starts");
        let messages = String::from_utf8(ended.stderr).expect("UTF-8");
        (ended.status.success(), messages.replace("crates/worker/", ""))
    }
}

/// Messages without everything that changes when a line is added elsewhere: the line numbers at the left, the places in
/// files of the library, the summary at the end.
fn normal(messages: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in messages.lines() {
        if line.starts_with("error: aborting due to") || line.starts_with("For more information about") {
            continue;
        }
        let text = line.trim_start_matches(|character: char| character == ' ' || character.is_ascii_digit());
        let place = text.strip_prefix("--> ").or(text.strip_prefix("::: "));
        let in_library = place.filter(|place| !place.starts_with("tests/"));
        lines.push(match in_library.and_then(|place| place.split(':').next()) {
            Some(file) => format!("--> {file}"),
            None => text.trim_end().to_owned(),
        });
    }
    lines.join("\n").trim().to_owned()
}
