//! The directory that keeps the state.

use std::path::PathBuf;

use anyhow::Context;
use avtomatika_dev::{State, StateError};

use crate::exit::Failure;
use crate::output::Printer;

/// Opens the directory of `--state`, and says if its contents could not be read.
pub(super) async fn open(directory: Option<PathBuf>, printer: &Printer) -> Result<Option<State>, Failure> {
    let Some(directory) = directory else { return Ok(None) };
    // It may have a lot to read.
    let opened = tokio::task::spawn_blocking(move || State::open(directory)).await;
    let state = opened.context("cannot open the state")?.map_err(failure)?;
    if let Some(aside) = state.set_aside() {
        printer.warning(format_args!(
            "the state in `{}` cannot be read: {}; it is in `{}` now, and this server starts empty",
            state.path().display(),
            aside.reason,
            aside.path.display()
        ));
    }
    Ok(Some(state))
}

fn failure(error: StateError) -> Failure {
    match error {
        StateError::Taken { .. } => {
            Failure::unavailable(error).with_hint("use another directory, or end that server")
        }
        error => Failure::usage(error),
    }
}
