//! Errors of operations on files. Pure.

use std::error::Error;
use std::io;
use std::path::Path;

use rxon::model::ErrorCode;
use rxon::text::excerpt;

/// An operation on a file that failed.
///
/// In a handler, `?` turns it into a [`TaskError`](crate::TaskError) with the error code of its [kind](Self::kind).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FileError {
    kind: FileErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a [`FileError`]. It decides the error code of a task that fails with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The name leads out of the task's directory: `PERMANENT_ERROR`, with `details.type` `security`.
    Forbidden,
    /// The name is not usable as the name of a file or as a key of the storage: `PERMANENT_ERROR`.
    Unusable,
    /// The task's directory has no such file: `TRANSIENT_ERROR`, as for any other error of a handler.
    NotFound,
    /// The storage has no such object, or no such bucket: `PERMANENT_ERROR`.
    NoObject,
    /// The storage denies access, or refuses the request as wrong, because of a wrong region for example: `PERMANENT_ERROR`.
    Denied,
    /// No storage is configured (`S3_ENDPOINT_URL` is not set): `PERMANENT_ERROR`.
    NoStorage,
    /// An object differs from its metadata in the parameters, or changed while it was read: `INTEGRITY_MISMATCH_ERROR`.
    Integrity,
    /// The disk is full or read-only: `RESOURCE_EXHAUSTED_ERROR`.
    Exhausted,
    /// The storage cannot be reached, or fails, after several tries: `TRANSIENT_ERROR`.
    Unavailable,
    /// Any other error: `TRANSIENT_ERROR`.
    Other,
}

impl FileErrorKind {
    /// The kind of an error of the operating system.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            // Only path resolution beneath a directory denies permission without an error number of the system.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Self::Forbidden,
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge => Self::Exhausted,
            io::ErrorKind::InvalidFilename => Self::Unusable,
            _ => Self::Other,
        }
    }

    /// The error code of a task that fails with this kind.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::Forbidden | Self::Unusable | Self::NoObject | Self::Denied | Self::NoStorage => {
                ErrorCode::Permanent
            }
            Self::Integrity => ErrorCode::IntegrityMismatch,
            Self::Exhausted => ErrorCode::ResourceExhausted,
            Self::NotFound | Self::Unavailable | Self::Other => ErrorCode::Transient,
        }
    }

    /// The value of `details.type` of the failed task.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "security",
            Self::Unusable => "unusable_name",
            Self::NotFound => "file_not_found",
            Self::NoObject => "object_not_found",
            Self::Denied => "access_denied",
            Self::NoStorage => "no_storage",
            Self::Integrity => "integrity",
            Self::Exhausted => "disk",
            Self::Unavailable => "storage_unavailable",
            Self::Other => "file",
        }
    }
}

impl FileError {
    pub(super) fn new(kind: FileErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// An error of a name that cannot be used.
    pub(super) fn unusable(message: impl Into<String>) -> Self {
        Self::new(FileErrorKind::Unusable, message)
    }

    pub(super) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An error of the operating system. `action` is the verb of the message, as in "cannot open `a.txt`".
    pub(crate) fn io(action: &str, name: &Path, error: io::Error) -> Self {
        let kind = FileErrorKind::of_io(&error);
        let name = shown(name);
        let message = match kind {
            FileErrorKind::Forbidden => format!("`{name}` leads out of the task's directory"),
            FileErrorKind::Unusable => format!("`{name}` is not usable as the name of a file"),
            _ => format!("cannot {action} `{name}`"),
        };
        Self::new(kind, message).because(error)
    }

    /// The kind of the error.
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }
}

/// Returns an excerpt of a name, for messages.
pub(super) fn shown(name: &Path) -> String {
    excerpt(name.as_os_str().as_encoded_bytes())
}

/// Returns None instead of the error of a missing file.
pub(super) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    none_if(io::ErrorKind::NotFound, result)
}

/// Returns None instead of the error of a file that exists already.
pub(super) fn created<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    none_if(io::ErrorKind::AlreadyExists, result)
}

fn none_if<T>(kind: io::ErrorKind, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == kind => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_messages_are_short_and_harmless() {
        let text = shown(Path::new(&"\u{1b}[31m\n".repeat(100)));
        assert!(text.len() < 800 && !text.contains(['\u{1b}', '\n']), "{text}");
    }
}
