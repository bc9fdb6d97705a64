//! The stand-in for the file of results without the feature `durable`: it cannot be opened, so that none exists.

use std::path::Path;

use super::error::SpoolError;
use super::ledger::{Batch, Contents};

#[derive(Debug)]
pub(super) enum ResultFile {}

impl ResultFile {
    pub(super) fn open(_: &Path) -> Result<(Self, Contents), SpoolError> {
        Err(SpoolError::Feature)
    }

    pub(super) fn apply(&self, _: &Batch) -> Result<(), String> {
        match *self {}
    }
}
