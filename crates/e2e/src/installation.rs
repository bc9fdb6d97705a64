//! Where the programs under test are.

use std::env;
use std::path::{Path, PathBuf};

use crate::orchestrator::Version;

/// The Python of the environment that has this orchestrator.
///
/// # Panics
/// When it is not installed: a test that cannot run is a failed test.
pub(crate) fn python(version: Version) -> PathBuf {
    python_of(&format!("avtomatika-{}", version.number()))
}

/// The Python of the environment that has moto.
///
/// # Panics
/// When it is not installed: a test that cannot run is a failed test.
pub(crate) fn moto() -> PathBuf {
    python_of("moto")
}

fn python_of(environment: &str) -> PathBuf {
    // The stamp is written last: without it the installation was interrupted.
    match beside_this_program(&format!("venvs/{environment}/installed")) {
        Some(stamp) => stamp.with_file_name("bin/python"),
        None => panic!("`{environment}` is not installed; run `cargo xtask setup`"),
    }
}

/// The program `conformance_worker`.
///
/// # Panics
/// When it is not built.
pub(crate) fn worker() -> PathBuf {
    if let Some(given) = env::var_os("CONFORMANCE_WORKER") {
        return PathBuf::from(given);
    }
    beside_this_program("examples/conformance_worker")
        .expect("the worker is not built; run `cargo build --example conformance_worker`")
}

/// Our own programs around the orchestrators.
pub(crate) fn blueprints(version: Version) -> PathBuf {
    let file = format!("avtomatika_{}.py", version.number().replace('.', "_"));
    Path::new(env!("CARGO_MANIFEST_DIR")).join("orchestrators").join(file)
}

/// Our own program around moto.
pub(crate) fn moto_program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/moto_s3.py")
}

/// `name` in the nearest directory above this program that has it: `target/debug/deps/it-…` finds what is in
/// `target/debug` and in `target`, also where a target triple lies between the two.
fn beside_this_program(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    program.ancestors().map(|directory| directory.join(name)).find(|path| path.exists())
}
