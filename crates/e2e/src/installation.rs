//! Where the programs under test are.

use std::env;
use std::path::{Path, PathBuf};

use crate::orchestrator::Version;

/// The Python of the environment that has this orchestrator.
///
/// # Panics
/// When it is not installed: a test that cannot run is a failed test.
pub(crate) fn python(version: Version) -> PathBuf {
    // The stamp is written last: without it the installation was interrupted.
    let stamp = format!("venvs/avtomatika-{}/installed", version.number());
    match beside_this_program(&stamp) {
        Some(stamp) => stamp.with_file_name("bin/python"),
        None => panic!("the orchestrator {} is not installed; run `cargo xtask setup`", version.number()),
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

/// `name` in the nearest directory above this program that has it: `target/debug/deps/it-…` finds what is in
/// `target/debug` and in `target`, also where a target triple lies between the two.
fn beside_this_program(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    program.ancestors().map(|directory| directory.join(name)).find(|path| path.exists())
}
