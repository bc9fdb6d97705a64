//! The page and its files.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::etag;
use crate::page::{self, Asset};
use crate::refusal::Refusal;

/// The addresses of the page. Its script shows what belongs to each.
pub(super) const ADDRESSES: [&str; 8] =
    ["/", "/tasks", "/tasks/{id}", "/new", "/workers", "/workers/{id}", "/wire", "/faults"];

/// `GET` of an address of the page
pub(super) async fn index(headers: HeaderMap) -> Result<Response, Refusal> {
    answer(page::index(), "/", &headers)
}

/// `GET /assets/{path}`
pub(super) async fn asset(
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(path) = path?;
    answer(page::asset(&path), &path, &headers)
}

fn answer(asset: Option<Asset>, path: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let Some(asset) = asset else {
        let path = crate::text::cut(path, 200);
        return Err(Refusal::new(StatusCode::NOT_FOUND, format!("the page has no file `{path}`")));
    };
    let mut response = if etag::is_known(headers, &asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], asset.content).into_response()
    };
    let answered = response.headers_mut();
    // A browser asks each time, so that a new version of the program is never shown with files of an old one.
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in [
        (header::ETAG, asset.etag.as_str()),
        (header::CONTENT_SECURITY_POLICY, page::POLICY.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answered.insert(name, HeaderValue::from_str(value).expect("it consists of visible ASCII"));
    }
    Ok(response)
}
