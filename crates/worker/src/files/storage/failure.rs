//! Errors of the storage as errors of a task.

use object_store::{Error, path};
use rxon::ErrorChain;
use rxon::secrets::masked;
use rxon::text::{excerpt, one_line};

use super::refusal::Refusal;
use super::uri::unusable_key;
use crate::files::error::{FileError, FileErrorKind};

/// Returns the error of the storage for an object. The message contains no secret.
pub(in crate::files) fn storage_error(uri: &str, error: &Error) -> FileError {
    let uri = excerpt(uri);
    if let Some(refusal) = refusal_in(error) {
        return refused(&uri, refusal, error);
    }
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

fn refused(uri: &str, refusal: &Refusal, error: &Error) -> FileError {
    let (kind, message) = match refusal {
        Refusal::Region { region: Some(region), .. } => {
            let region = excerpt(masked(region).as_ref());
            let text =
                format!("the bucket of `{uri}` is in the region `{region}`: set `S3_REGION` to `{region}`");
            (FileErrorKind::Denied, text)
        }
        Refusal::Region { region: None, .. } => (
            FileErrorKind::Denied,
            format!(
                "the bucket of `{uri}` is in another region: set `S3_REGION` to the region of the bucket"
            ),
        ),
        Refusal::Clock { .. } => (
            FileErrorKind::Unavailable,
            format!(
                "the storage refuses access to `{uri}`, because its clock and this machine's clock differ: check both"
            ),
        ),
        Refusal::Invalid { .. } => {
            (FileErrorKind::Denied, format!("the storage refuses the request for `{uri}` as wrong"))
        }
        Refusal::Garbled { .. } | Refusal::RangeIgnored => {
            (FileErrorKind::Unavailable, format!("the storage failed for `{uri}`"))
        }
    };
    FileError::new(kind, message).because(with_causes(error))
}

fn refusal_in(error: &Error) -> Option<&Refusal> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// Whether the storage sent the whole object instead of a range.
pub(in crate::files) fn is_range_ignored(error: &Error) -> bool {
    refusal_in(error) == Some(&Refusal::RangeIgnored)
}

/// Whether this error of a request without a body in its answer (HEAD) leaves open why the storage refuses.
pub(in crate::files) fn is_wordless(error: &Error) -> bool {
    refusal_in(error).is_none()
        && match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => true,
            Error::Generic { .. } => {
                matches!(status_in(error), Some(301 | 400))
                    || error.to_string().contains("redirect without LOCATION")
            }
            _ => false,
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
