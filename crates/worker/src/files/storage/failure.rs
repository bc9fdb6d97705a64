//! What the storage said, as a task's error.

use object_store::{Error, path};
use rxon::ErrorChain;
use rxon::secrets::masked;
use rxon::text::{excerpt, one_line};

use super::unusable_key;
use crate::files::error::{FileError, FileErrorKind};

/// What the storage said about an object. No key stands in it.
pub(in crate::files) fn storage_error(uri: &str, error: &Error) -> FileError {
    let uri = excerpt(uri);
    match (error, status_in(error)) {
        (Error::NotFound { .. }, _) | (Error::Generic { .. }, Some(404)) => {
            let is_bucket = error.to_string().contains("NoSuchBucket");
            let what = if is_bucket { "the bucket of " } else { "" };
            FileError::new(FileErrorKind::NoObject, format!("{what}`{uri}` does not exist"))
        }
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
        | (Error::Generic { .. }, Some(401 | 403)) => {
            let message = format!(
                "the storage denies access to `{uri}`: check `S3_ACCESS_KEY`, `S3_SECRET_KEY` and what they permit"
            );
            FileError::new(FileErrorKind::Denied, message).because(said(error))
        }
        (Error::Precondition { .. }, _) => {
            FileError::new(FileErrorKind::Integrity, format!("`{uri}` changed while it was read"))
        }
        (Error::InvalidPath { source }, _) => {
            let key = match source {
                path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => path.as_str(),
                _ => "",
            };
            let mut error = unusable_key(&format!("{uri}…{}", masked(key)), key, source);
            error = error.because(format!("it stands in the listing of `{uri}`"));
            error
        }
        _ => FileError::new(FileErrorKind::Unavailable, format!("the storage failed over `{uri}`"))
            .because(said(error)),
    }
}

/// The status that the storage answered with. Errors of listings have it in their text only.
fn status_in(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.split_once("non-2xx status code: ")?.1.get(..3)?.parse().ok()
}

/// The innermost causes say most, and every one says the next again: of what is too long, the middle is left out.
fn said(error: &Error) -> String {
    const BEGINNING: usize = 100;
    const END: usize = 400;
    let text = ErrorChain(error).to_string();
    let line = one_line(&text);
    let place = |number| line.char_indices().nth(number).map(|(place, _)| place);
    match (place(BEGINNING), line.chars().count().checked_sub(END).and_then(place)) {
        (Some(beginning), Some(end)) if beginning < end => format!("{}…{}", &line[..beginning], &line[end..]),
        _ => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rxon::secrets::Secrets;

    use super::*;

    #[test]
    fn an_error_tells_its_end_and_no_key() {
        let _held = Secrets::new(["hidden/Secret+Key".to_owned()]);
        let text = format!("begins {} hidden%2FSecret%2BKey \u{1b} ends", "x".repeat(5000));
        let error = Error::Generic { store: "S3", source: text.into() };
        let told = storage_error("s3://in/hidden/Secret+Key", &error).to_task_error();
        let message = told.message();
        assert!(
            message.starts_with("the storage failed over `s3://in/***`: Generic S3 error: begins x"),
            "{message}"
        );
        assert!(message.ends_with("x *** \\u{1b} ends") && message.len() < 700, "{message}");
    }
}
