//! The reasons why results cannot be kept on disk.

use std::error::Error;
use std::io;

use rxon::WorkerId;

/// The reason why results cannot be kept on disk.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(feature = "durable"), expect(dead_code, reason = "some come from the file only"))]
pub(crate) enum SpoolError {
    #[error("`WORKER_OUTBOX_DIR` needs the feature `durable` of the crate `avtomatika-worker`")]
    Feature,
    #[error("the folder cannot be made, or cannot be written to")]
    Folder { source: io::Error },
    #[error("the file cannot be locked")]
    Lock { source: io::Error },
    #[error(
        "another live process has the results of the worker `{worker_id}` (process {holder}): no two live workers may \
         share a `WORKER_ID`"
    )]
    Taken { worker_id: WorkerId, holder: String },
    #[error(
        "its format is `{found}`, expected format 1: run the version that wrote it, or choose another folder"
    )]
    Format { found: String },
    /// It is damaged, or not a file of results.
    #[error("it cannot be read or written")]
    Damaged { source: Box<dyn Error + Send + Sync> },
    #[error("it cannot be read or written")]
    File { source: Box<dyn Error + Send + Sync> },
    #[error("its thread cannot be started")]
    Thread { source: io::Error },
    #[error("its thread died")]
    Died,
}
