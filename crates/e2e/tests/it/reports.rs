//! The file that tasks hand over.

use avtomatika_worker::files::{InputFile, OutputFile};
use serde::{Deserialize, Serialize};

/// The result of a task that writes one.
#[derive(Serialize)]
pub(crate) struct Made {
    pub(crate) report: OutputFile,
}

/// The parameters of a task that reads one.
#[derive(Deserialize)]
pub(crate) struct Given {
    pub(crate) report: InputFile,
}
