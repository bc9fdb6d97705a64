//! The paths of the programs under test.

use std::env;
use std::path::{Path, PathBuf};

use crate::version::Version;

/// Returns the Python of the environment in which this orchestrator is installed.
///
/// # Panics
/// When it is not installed: a test that cannot run counts as failed.
pub(crate) fn python(version: Version) -> PathBuf {
    python_of(&format!("avtomatika-{}", version.number()))
}

/// Returns the Python of the environment in which moto is installed.
///
/// # Panics
/// When it is not installed: a test that cannot run counts as failed.
pub(crate) fn moto() -> PathBuf {
    python_of("moto")
}

fn python_of(environment: &str) -> PathBuf {
    // The stamp is written last: if it is missing, the installation was interrupted.
    match beside_this_program(&format!("venvs/{environment}/installed")) {
        Some(stamp) => stamp.with_file_name("bin/python"),
        None => panic!("`{environment}` is not installed; run `cargo xtask setup`"),
    }
}

/// Returns the path of the program `avtomatika`.
///
/// # Panics
/// When it is not built.
pub(crate) fn command_line() -> PathBuf {
    beside_this_program("avtomatika")
        .expect("the command line is not built; run `cargo build --bin avtomatika`")
}

/// Returns the path of the program in `CONFORMANCE_WORKER`, by default that of our `conformance_worker`.
///
/// # Panics
/// When it is not built.
pub fn worker() -> PathBuf {
    if let Some(given) = env::var_os("CONFORMANCE_WORKER") {
        return PathBuf::from(given);
    }
    beside_this_program("examples/conformance_worker")
        .expect("the worker is not built; run `cargo build --example conformance_worker`")
}

/// Returns our program that runs an orchestrator of this version.
pub(crate) fn blueprints(version: Version) -> PathBuf {
    let file = format!("avtomatika_{}.py", version.number().replace('.', "_"));
    Path::new(env!("CARGO_MANIFEST_DIR")).join("orchestrators").join(file)
}

/// Returns our program that runs moto.
pub(crate) fn moto_program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/moto_s3.py")
}

/// Finds `name` in the nearest directory above this program that has it: `target/debug/deps/it-…` finds files in
/// `target/debug` and in `target`, even with a target triple in between.
fn beside_this_program(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    program.ancestors().map(|directory| directory.join(name)).find(|path| path.exists())
}
