//! Files of tasks: a directory for each task, and the storage that its inputs come from and its outputs go to.
//!
//! A handler takes [`TaskFiles`] as an argument, or [`BlockingTaskFiles`] if it blocks. [`InputFile`], [`InputDir`] and
//! [`OutputFile`] mark files in the types of parameters and data. `docs/files.md` is the guide.

// From the bottom up: `text` and `error`; `workspace` (one task's directory, blocking); `directory` (the same in async
// code); `storage` (S3); `transfer` (whose transfer is next, memory, cache, counters); `mover` (moves files between a
// directory and the storage); `shared` (one `Files` for each worker); `task` (the handles of users).

mod directory;
mod error;
mod inputs;
mod metadata;
#[cfg(feature = "s3")]
mod mover;
mod settings;
mod shared;
#[cfg(feature = "s3")]
mod storage;
mod task;
mod text;
#[cfg(feature = "s3")]
mod transfer;
#[cfg(not(feature = "s3"))]
mod without_s3;
mod workspace;

pub(crate) use self::directory::DirectoryGuard;
pub use self::error::{FileError, FileErrorKind};
pub(crate) use self::metadata::MetadataByPath;
pub(crate) use self::settings::{CacheSettings, FilesSettings, StorageSettings};
pub(crate) use self::shared::Files;
pub(crate) use self::storage::{InvalidStorage, Storage};
pub use self::task::TaskFiles;
pub use self::task::blocking::BlockingTaskFiles;
pub(crate) use self::task::typed::read_for_task;
pub use self::task::typed::{InputDir, InputFile, OutputFile};
pub(crate) use self::transfer::traffic::Traffic;
#[cfg(not(feature = "s3"))]
use self::without_s3::{mover, storage, transfer};
pub use self::workspace::mode::OpenMode;
