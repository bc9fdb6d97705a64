//! The content of text and JSON files. Pure.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::error::{FileError, FileErrorKind};
use crate::files::text::shown;

pub(super) fn into_text(content: Vec<u8>, name: &Path) -> Result<String, FileError> {
    String::from_utf8(content).map_err(|error| {
        FileError::new(FileErrorKind::Other, format!("`{}` is not UTF-8", shown(name)))
            .because(error.utf8_error())
    })
}

pub(super) fn from_json<T: DeserializeOwned>(content: &[u8], name: &Path) -> Result<T, FileError> {
    serde_json::from_slice(content).map_err(|error| {
        FileError::new(FileErrorKind::Other, format!("`{}` is not JSON of the expected type", shown(name)))
            .because(error)
    })
}

pub(super) fn to_json(value: &impl Serialize, name: &Path) -> Result<Vec<u8>, FileError> {
    serde_json::to_vec(value).map_err(|error| {
        let message = format!("the value for `{}` cannot be written as JSON", shown(name));
        FileError::new(FileErrorKind::Other, message).because(error)
    })
}
