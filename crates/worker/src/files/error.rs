//! What can go wrong with a file.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use rxon::model::ErrorCode;

use super::name::shown;

/// Why nothing came of an operation on a file.
///
/// `?` in a handler makes a [`TaskError`](crate::TaskError) of it with the code that its [kind](Self::kind) calls for.
#[derive(Debug)]
pub struct FileError {
    kind: FileErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of error it is, and so what becomes of a task that fails with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The name leads out of the task's directory: `PERMANENT_ERROR`, with `details.type` `security`.
    Forbidden,
    /// The name cannot be a file's, or a key of the storage's: `PERMANENT_ERROR`.
    Unusable,
    /// No such file in the task's directory: `TRANSIENT_ERROR`, as any other error of a handler.
    NotFound,
    /// The storage has no such object, or no such bucket: `PERMANENT_ERROR`.
    NoObject,
    /// The storage denies access: `PERMANENT_ERROR`.
    Denied,
    /// There is no storage (`S3_ENDPOINT_URL` is not set): `PERMANENT_ERROR`.
    NoStorage,
    /// An object is not what it was said to be, or changed while it was read: `INTEGRITY_MISMATCH_ERROR`.
    Integrity,
    /// The disk is full or read-only: `RESOURCE_EXHAUSTED_ERROR`.
    Exhausted,
    /// The storage cannot be reached, or fails: `TRANSIENT_ERROR`. It was tried several times.
    Unavailable,
    /// Anything else: `TRANSIENT_ERROR`.
    Other,
}

impl FileErrorKind {
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

    /// What `details.type` of the failure says.
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

    pub(super) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the operating system said about a file.
    pub(super) fn io(what: &str, name: &Path, error: io::Error) -> Self {
        let kind = kind_of(&error);
        let name = shown(name);
        let message = match kind {
            FileErrorKind::Forbidden => format!("`{name}` leads out of the task's directory"),
            FileErrorKind::Unusable => format!("`{name}` cannot be the name of a file"),
            _ => format!("cannot {what} `{name}`"),
        };
        Self::new(kind, message).because(error)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What an error of the operating system means for a task.
pub(crate) fn kind_of(error: &io::Error) -> FileErrorKind {
    match error.kind() {
        // Resolution beneath a directory says so without a number of the operating system's.
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => FileErrorKind::Forbidden,
        io::ErrorKind::NotFound => FileErrorKind::NotFound,
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::FileTooLarge => FileErrorKind::Exhausted,
        io::ErrorKind::InvalidFilename => FileErrorKind::Unusable,
        _ => FileErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operating_system_says_decides_the_code() {
        for (number, code) in [
            (28, "RESOURCE_EXHAUSTED_ERROR"), // ENOSPC
            (30, "RESOURCE_EXHAUSTED_ERROR"), // EROFS
            (2, "TRANSIENT_ERROR"),           // ENOENT
            (36, "PERMANENT_ERROR"),          // ENAMETOOLONG
            (5, "TRANSIENT_ERROR"),           // EIO
        ] {
            let error = FileError::io("write", Path::new("a"), io::Error::from_raw_os_error(number));
            assert_eq!(error.to_task_error().code().as_str(), code, "{error}");
        }
    }

    #[test]
    fn one_that_leads_out_says_security() {
        let escaped = io::Error::new(io::ErrorKind::PermissionDenied, "outside");
        let error = FileError::io("read", Path::new("link"), escaped).to_task_error();
        assert_eq!(error.code().as_str(), "PERMANENT_ERROR");
        assert_eq!(error.details(), Some(r#"{"type":"security"}"#));
        assert!(error.message().contains("`link` leads out of the task's directory"), "{error}");
        let long = "\u{1b}".repeat(100_000);
        let error = FileError::io("read", Path::new(&long), io::Error::from_raw_os_error(36)).to_task_error();
        assert!(error.message().len() < 1000 && !error.message().contains('\u{1b}'), "{error}");
    }
}
