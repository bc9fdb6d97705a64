//! Addresses of objects. Pure.

use object_store::path::{self, Path};
use rxon::text::excerpt;

use crate::files::error::{FileError, FileErrorKind};

/// The address of an object, `s3://bucket/key`, or of all objects with a prefix, `s3://bucket/prefix/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct ObjectUri {
    text: String,
    /// The index of the `/` between bucket and key.
    slash: usize,
}

const SCHEME: &str = "s3://";

impl ObjectUri {
    /// Returns None for a text that is not such an address.
    pub(in crate::files) fn parse(text: String) -> Option<Self> {
        let bucket = text.strip_prefix(SCHEME)?.find('/')?;
        (bucket > 0).then_some(Self { slash: SCHEME.len() + bucket, text })
    }

    /// Parses an address that a user wrote.
    pub(in crate::files) fn of_user(text: &str) -> Result<Self, FileError> {
        Self::parse(text.to_owned()).ok_or_else(|| {
            let text = excerpt(text);
            FileError::unusable(format!(
                "`{text}` is not the address of an object, expected `s3://bucket/key`"
            ))
        })
    }

    pub(in crate::files) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn bucket(&self) -> &str {
        &self.text[SCHEME.len()..self.slash]
    }

    /// The key or the prefix; empty for a whole bucket.
    pub(super) fn key(&self) -> &str {
        &self.text[self.slash + 1..]
    }
}

/// Returns a key in the form of the library, which must not change it.
pub(super) fn key_path(key: &str) -> Result<Path, path::Error> {
    let path = Path::parse(key)?;
    if path.as_ref() == key.strip_suffix('/').unwrap_or(key) {
        Ok(path)
    } else {
        Err(path::Error::EmptySegment { path: key.to_owned() })
    }
}

pub(super) fn unusable_key(uri: &str, key: &str, error: &path::Error) -> FileError {
    // A key that would lead out of a directory has an error of its own.
    let leads_out = key.split('/').any(|part| part == ".." || part.contains('\0'));
    let kind = if leads_out { FileErrorKind::Forbidden } else { FileErrorKind::Unusable };
    let flaw = match error {
        path::Error::EmptySegment { .. } => "an empty part",
        _ => "a part that is `.` or `..`, or a control character",
    };
    FileError::new(kind, format!("the key of `{}` contains {flaw}, and cannot be used", excerpt(uri)))
}

/// Checks the name of a bucket. The error is the expectation.
pub(super) fn check_bucket(bucket: &str) -> Result<(), &'static str> {
    let fits = bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let fits = fits && (1..=255).contains(&bucket.len()) && !bucket.starts_with('.');
    if fits { Ok(()) } else { Err("1 to 255 of `a-z A-Z 0-9 . _ -`, not beginning with a dot") }
}
