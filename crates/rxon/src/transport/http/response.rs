//! The parts of an HTTP answer that a [`Response`] keeps.

use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap};

use super::address::redacted;
use crate::backoff;
use crate::transport::Response;

pub(super) fn response(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after =
        text(header::RETRY_AFTER).and_then(|value| backoff::retry_after(value, SystemTime::now()));
    let location = text(header::LOCATION).filter(|_| status.is_redirection()).map(redacted);
    let date = text(header::DATE).filter(|_| !status.is_success());
    let date = date.and_then(|value| httpdate::parse_http_date(value).ok());
    Response { status: status.as_u16(), body, retry_after, location, date }
}
