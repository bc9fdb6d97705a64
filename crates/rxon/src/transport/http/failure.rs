//! The meaning of hyper's errors.

use std::error::Error as _;
use std::io;

use crate::error::{Error, ErrorKind};

pub(super) fn failure(error: hyper::Error, detail: &str) -> Error {
    let kind = if error.is_parse() { ErrorKind::Protocol } else { kind_of_stream_error(&error) };
    Error::new(kind, detail).with_source(error)
}

/// Finds the I/O error of the stream below HTTP, which may wrap an error of rustls or mean a malformed chunk.
fn kind_of_stream_error(error: &hyper::Error) -> ErrorKind {
    let mut sources = std::iter::successors(error.source(), |&error| error.source());
    match sources.find_map(|error| error.downcast_ref::<io::Error>()) {
        Some(error) if is_tls(error) => ErrorKind::Tls,
        Some(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            ErrorKind::Protocol
        }
        _ => ErrorKind::Closed,
    }
}

/// Returns whether an I/O error wraps one of rustls; any other comes from the connection.
pub(super) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}
