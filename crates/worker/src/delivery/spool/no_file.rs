//! The stand-in for the file of results without the feature `durable`: it cannot be opened, so that none exists.

use std::convert::Infallible;
use std::path::Path;

use super::error::SpoolError;
use super::ledger::{Batch, Contents};

#[derive(Debug)]
pub(super) struct ResultFile {
    pub(super) commits: u64,
    never: Infallible,
}

impl ResultFile {
    pub(super) fn open(_: &Path, _: u64) -> Result<(Self, Contents), SpoolError> {
        Err(SpoolError::Feature)
    }

    pub(super) fn contents(&self) -> Result<Contents, String> {
        match self.never {}
    }

    pub(super) fn apply(&mut self, _: &Batch) -> Result<(), String> {
        match self.never {}
    }
}
