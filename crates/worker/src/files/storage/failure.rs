//! Errors of the storage as errors of a task.

use object_store::{Error, path};
use rxon::ErrorChain;
use rxon::secrets::masked;
use rxon::text::{excerpt, one_line};

use super::uri::unusable_key;
use crate::files::error::{FileError, FileErrorKind};

/// Returns the error of the storage for an object. The message contains no secret.
pub(in crate::files) fn storage_error(uri: &str, error: &Error) -> FileError {
    let uri = excerpt(uri);
    match (error, status_in(error)) {
        (Error::NotFound { .. }, _) | (Error::Generic { .. }, Some(404)) => {
            let is_bucket = error.to_string().contains("NoSuchBucket");
            let owner = if is_bucket { "the bucket of " } else { "" };
            FileError::new(FileErrorKind::NoObject, format!("{owner}`{uri}` does not exist"))
        }
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
        | (Error::Generic { .. }, Some(401 | 403)) => {
            let message = format!(
                "the storage denies access to `{uri}`: check `S3_ACCESS_KEY`, `S3_SECRET_KEY` and their permissions"
            );
            FileError::new(FileErrorKind::Denied, message).because(with_causes(error))
        }
        (Error::Precondition { .. }, _) => {
            FileError::new(FileErrorKind::Integrity, format!("`{uri}` changed while it was read"))
        }
        (Error::InvalidPath { source }, _) => {
            let key = match source {
                path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => path.as_str(),
                _ => "",
            };
            unusable_key(&format!("{uri}…{}", masked(key)), key, source)
                .because(format!("the key is in the listing of `{uri}`"))
        }
        _ => FileError::new(FileErrorKind::Unavailable, format!("the storage failed for `{uri}`"))
            .because(with_causes(error)),
    }
}

/// Returns an error with this text, as the library would report it.
pub(super) fn s3_error(text: impl Into<String>) -> Error {
    Error::Generic { store: "S3", source: text.into().into() }
}

/// Returns the status of the storage's answer. Errors of listings have it only in their text.
fn status_in(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.split_once("non-2xx status code: ")?.1.get(..3)?.parse().ok()
}

/// Returns the message of an error with its causes. The middle of a long text is left out: the last causes tell most, and
/// the others repeat them.
fn with_causes(error: &Error) -> String {
    const MAX_BEGINNING: usize = 100;
    const MAX_END: usize = 400;
    let text = ErrorChain(error).to_string();
    let line = one_line(&text);
    let index = |number| line.char_indices().nth(number).map(|(index, _)| index);
    match (index(MAX_BEGINNING), line.chars().count().checked_sub(MAX_END).and_then(index)) {
        (Some(beginning), Some(end)) if beginning < end => format!("{}…{}", &line[..beginning], &line[end..]),
        _ => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rxon::secrets::Secrets;

    use super::*;

    #[test]
    fn a_long_error_keeps_its_end_and_no_secret() {
        let _held = Secrets::new(["hidden/Secret+Key".to_owned()]);
        let text = format!("begins {} hidden%2FSecret%2BKey \u{1b} ends", "x".repeat(5000));
        let error = Error::Generic { store: "S3", source: text.into() };
        let message = ErrorChain(&storage_error("s3://in/hidden/Secret+Key", &error)).to_string();
        assert!(
            message.starts_with("the storage failed for `s3://in/***`: Generic S3 error: begins x"),
            "{message}"
        );
        assert!(message.ends_with("x *** \\u{1b} ends") && message.len() < 700, "{message}");
    }
}
