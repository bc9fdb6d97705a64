//! What an object must be, and what is wrong with it.

use rxon::model::FileMetadata;
use rxon::text::excerpt;

use crate::files::error::{FileError, FileErrorKind};

pub(super) fn truncated(uri: &str, received: u64, expected: u64) -> FileError {
    let message = format!("received {received} bytes of `{}`, expected {expected}", excerpt(uri));
    FileError::new(FileErrorKind::Unavailable, message)
}

pub(super) fn check_size(uri: &str, size: u64, expected: &FileMetadata) -> Result<(), FileError> {
    match expected.size {
        Some(expected) if expected != size => {
            let message = format!("`{}` has {size} bytes, expected {expected}", excerpt(uri));
            Err(FileError::new(FileErrorKind::Integrity, message))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_etag(uri: &str, etag: Option<&str>, expected: &FileMetadata) -> Result<(), FileError> {
    let Some(wanted) = expected.etag.as_deref().map(bare).filter(|etag| !etag.is_empty()) else {
        return Ok(());
    };
    let etag = etag.map(bare).unwrap_or_default();
    if etag == wanted {
        return Ok(());
    }
    let message =
        format!("the ETag of `{}` is `{}`, expected `{}`", excerpt(uri), excerpt(etag), excerpt(wanted));
    Err(FileError::new(FileErrorKind::Integrity, message))
}

/// Returns an `ETag` without its quotes and the sign of a weak one.
pub(super) fn bare(etag: &str) -> &str {
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_weakness_of_etags_do_not_matter() {
        let expected =
            |etag: &str| FileMetadata { uri: String::new(), size: None, etag: Some(etag.to_owned()) };
        for wanted in ["abc", "\"abc\"", "W/\"abc\"", "", "\"\""] {
            for etag in ["abc", "\"abc\"", "W/\"abc\""] {
                assert!(check_etag("s3://b/k", Some(etag), &expected(wanted)).is_ok(), "{etag} {wanted}");
            }
        }
        let error = check_etag("s3://b/k", Some("\"abc\""), &expected("abd")).expect_err("another");
        assert_eq!(error.kind(), FileErrorKind::Integrity);
        assert!(error.to_string().contains("`abc`") && error.to_string().contains("`abd`"), "{error}");
        assert!(check_etag("s3://b/k", None, &expected("abd")).is_err());
    }
}
