//! The local storage, for people.

mod kind;

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Desk, etag};
use crate::refusal::{self, Refusal};
use crate::s3::{FileError, FilePage, Files};

/// The default and the largest number of files in a list.
const MAX_FILES: usize = 1000;

/// The longest key, in bytes, as in S3.
const MAX_KEY: usize = 1024;

/// The number of bytes from which the type of a file follows.
const BEGINNING: u64 = 64 * 1024;

/// The policy for the content of files, which anybody may have written: no script of it runs, and it fetches nothing.
const POLICY: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    prefix: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/files/{bucket}`
pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Path(bucket) = path?;
    let Query(selection) = selection?;
    let limit = refusal::limited("limit", selection.limit.unwrap_or(MAX_FILES), MAX_FILES)?;
    let (prefix, after) = (selection.prefix.unwrap_or_default(), selection.after.unwrap_or_default());
    let page = desk.files()?.list(&bucket, &prefix, &after, limit);
    let FilePage { entries, next } = page.map_err(|problem| unknown(&problem))?;
    let files = entries.into_iter().map(|entry| {
        json!({
            "uri": uri(&bucket, &entry.key),
            "key": entry.key,
            "size": entry.size,
            "etag": entry.etag,
            "modified_at": entry.modified_at,
        })
    });
    let files: Vec<_> = files.collect();
    Ok(refusal::json(StatusCode::OK, &json!({ "files": files, "next": next })))
}

/// `PUT /api/files/{bucket}/{key}`
pub(super) async fn put(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let (bucket, key) = address(path)?;
    let (head, body) = request.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.map(str::to_owned);
    let stored = desk.files()?.put(&bucket, key.clone(), content_type, body.into_data_stream()).await;
    let stored = stored.map_err(|error| match error {
        FileError::Unknown(problem) => unknown(&problem),
        FileError::Body(error) => Refusal::bad_request(format!("the body is incomplete: {error}")),
        FileError::Disk(error) => Refusal::new(
            StatusCode::INSUFFICIENT_STORAGE,
            format!("the file cannot be written to the disk: {error}"),
        ),
    })?;
    let answer = json!({ "uri": uri(&bucket, &key), "size": stored.size, "etag": stored.etag });
    Ok(refusal::json(StatusCode::OK, &answer))
}

/// `GET /api/files/{bucket}/{key}`
pub(super) async fn get(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (bucket, key) = address(path)?;
    let file = desk.files()?.open(&bucket, &key).map_err(|problem| unknown(&problem))?;
    let etag = format!("\"{}\"", file.etag());
    let size = file.size();
    let mut response = if etag::is_known(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let beginning = file.beginning(BEGINNING).await.map_err(|error| {
            let text = format!("the file cannot be read from the disk: {error}");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
        })?;
        let kind = kind::of(&beginning, size <= BEGINNING);
        match part(&headers, &etag, size) {
            Part::Whole => described(kind, 0..size, Body::from_stream(file.bytes(0..size))),
            Part::Range(range) => {
                let body = Body::from_stream(file.bytes(range.clone()));
                let mut response = described(kind, range.clone(), body);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                insert(&mut response, header::CONTENT_RANGE, &text);
                response
            }
            Part::Outside => {
                let refusal = Refusal::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    format!("`Range` is outside of the file, which has {size} bytes"),
                );
                let mut response = refusal.into_response();
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                response
            }
        }
    };
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    answered.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    insert(&mut response, header::ETAG, &etag);
    Ok(response)
}

/// The part of a file that a request asks for.
enum Part {
    Whole,
    Range(Range<u64>),
    Outside,
}

/// A range that cannot be read, or several ranges, count as none, as HTTP allows.
fn part(headers: &HeaderMap, etag: &str, size: u64) -> Part {
    let range = headers.get(header::RANGE).filter(|_| etag::allows_range(headers, etag));
    let range = range.and_then(|range| s3s::dto::Range::parse(range.to_str().ok()?).ok());
    match range.map(|range| range.check(size)) {
        None => Part::Whole,
        Some(Ok(range)) if !range.is_empty() => Part::Range(range),
        Some(_) => Part::Outside,
    }
}

fn described(kind: kind::Kind, range: Range<u64>, body: Body) -> Response {
    let mut response = Response::new(body);
    insert(&mut response, header::CONTENT_TYPE, kind.content_type());
    insert(&mut response, header::CONTENT_LENGTH, &(range.end - range.start).to_string());
    if kind.is_download() {
        insert(&mut response, header::CONTENT_DISPOSITION, "attachment");
    }
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("it consists of visible ASCII");
    response.headers_mut().insert(name, value);
}

fn address(path: Result<Path<(String, String)>, PathRejection>) -> Result<(String, String), Refusal> {
    let Path((bucket, key)) = path?;
    if key.len() > MAX_KEY {
        let text = format!("the key has {} bytes, expected at most {MAX_KEY}", key.len());
        return Err(Refusal::bad_request(text));
    }
    Ok((bucket, key))
}

fn uri(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

fn unknown(problem: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, crate::text::cut(problem, 2000))
}

impl Desk {
    fn files(&self) -> Result<&Files, Refusal> {
        self.files.as_ref().ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "this orchestrator was started without a storage")
        })
    }
}
