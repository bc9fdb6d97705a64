//! Systems that do not tell this program which files change.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::exit::Failure;

/// The changes of files, which nobody tells: this is never made.
#[derive(Debug)]
pub(super) struct Changes(Infallible);

impl Changes {
    /// Refuses to watch.
    pub(super) fn new(
        _paths: &[PathBuf],
        _current: &Path,
        _left_out: Option<&Path>,
    ) -> Result<Self, Failure> {
        let text = format!("`--watch` works on Linux only, and this is {}", std::env::consts::OS);
        Err(Failure::usage(anyhow!(text))
            .with_hint("leave it out, and start the command anew after a change"))
    }

    /// Never called.
    pub(super) async fn next(&mut self) -> io::Result<PathBuf> {
        match self.0 {}
    }
}
