//! The reasons why results cannot be kept on disk.

use rxon::WorkerId;

/// The reason why results cannot be kept on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("the folder cannot be made, or cannot be written to")]
    Folder { source: std::io::Error },
    #[error("the file cannot be locked")]
    Lock { source: std::io::Error },
    #[error(
        "another live process has the results of the worker `{worker_id}` (process {holder}): no two live workers may \
         share a `WORKER_ID`"
    )]
    Taken { worker_id: WorkerId, holder: String },
    #[error(
        "its format is `{found}`, expected format 1: run the version that wrote it, or choose another folder"
    )]
    Format { found: String },
    #[error("it cannot be read or written")]
    File { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("its thread cannot be started")]
    Thread { source: std::io::Error },
    #[error("its thread died")]
    Died,
}
