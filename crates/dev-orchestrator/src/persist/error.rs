//! The errors of a state directory.

use std::io;
use std::path::PathBuf;

/// The reason why a directory cannot keep the state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another process keeps its state there.
    #[error(
        "the state directory `{}` is in use by {}",
        path.display(),
        holder.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
    )]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The process id of the other one, if it is known.
        holder: Option<u32>,
    },
    /// It has files of something else under the names of a state's.
    #[error(
        "`{}` is not a state directory: {found}; expected an empty directory, or one that a server has made",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What is there, a sentence without its full stop.
        found: String,
    },
    /// It cannot be made, read or written.
    #[error("cannot keep the state in `{}`", path.display())]
    Unusable {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl StateError {
    pub(super) fn unusable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Unusable { path, source }
    }
}
