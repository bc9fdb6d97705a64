//! The HTTP client of the storage, with the configured TLS and proxies. Of an error's answer it returns only the code and
//! the message.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use rxon::ErrorKind;
use rxon::limit::within;
use rxon::transport::http::{self as transport, ClientSettings, TlsSettings};

use super::answer::{error_in, is_transient, summary, wrong_listing};
use super::refusal::Refusal;
use crate::config::Problem;
use crate::files::settings::StorageSettings;

/// A transfer fails when no byte of it has moved for this time. How long it takes as a whole does not matter.
pub(super) const STANDSTILL_LIMIT: Duration = Duration::from_secs(30);

/// The most bytes that are read of an error's answer.
const MAX_ERROR: usize = 64 << 10;

/// The longest time for reading an error's answer.
const ERROR_LIMIT: Duration = Duration::from_secs(10);

/// The most bytes of a document. A listing has at most 1000 keys of at most 1 KiB, which may be escaped.
const MAX_DOCUMENT: usize = 32 << 20;

/// One client for all stores, so that they share connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client(transport::HttpClient<HttpRequestBody>);

/// The error of a request whose answer cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unexpected(String);

/// The kind of the expected answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Listing,
    /// The document for the beginning or the end of an upload in parts.
    Upload,
    /// Anything else, which is not read here.
    Anything,
}

impl Client {
    /// Reads the system's certificates and those of `TLS_CA_PATH`.
    pub(super) fn new(settings: &StorageSettings, standstill_limit: Duration) -> Result<Self, Problem> {
        let ca_path = settings.tls_ca_path.clone();
        let path = ca_path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let client = transport::HttpClient::new(ClientSettings {
            tls: TlsSettings { ca_path, and_system: true, ..TlsSettings::default() },
            proxies: settings.proxies.clone(),
            user_agent: concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")),
            standstill_limit,
            on_unusable_files: Some(|error| {
                tracing::warn!(%error, "the changed certificates cannot be used: the storage is asked with the previous ones");
            }),
        });
        Ok(Self(client.map_err(|error| Problem::new("TLS_CA_PATH", path, error.expected()))?))
    }

    /// Sends a request, and once more over a new connection if it stood still: the line may have been interrupted.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The end of an upload may be under way in the storage, and cannot be repeated.
        let can_be_repeated = request.method() != Method::POST;
        let again = can_be_repeated.then(|| request.clone());
        let answer = match (self.0.send(request).await, again) {
            (Err(error), Some(again)) if error.kind() == ErrorKind::Timeout => {
                tracing::debug!(error = %error.chain(), "a request to the storage is sent again");
                self.0.send(again).await
            }
            (answer, _) => answer,
        };
        let answer = answer.map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Proxy => HttpErrorKind::Connect,
                ErrorKind::Closed if can_be_repeated || !error.is_ambiguous() => HttpErrorKind::Request,
                // If it stood still, it was sent twice already, or it cannot be repeated.
                _ => HttpErrorKind::Unknown,
            };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(|body| {
            HttpResponseBody::new(body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)))
        }))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let expected = Expected::of(&request);
        let asked = request.headers().clone();
        let answer = self.send(request).await?;
        let status = answer.status();
        if !status.is_success() {
            let (parts, body) = answer.into_parts();
            let text = read_error(body).await;
            return match Refusal::of(&asked, status, &parts.headers, &text) {
                Some(refusal) => Err(refused(refusal)),
                None => Ok(HttpResponse::from_parts(parts, summary(&text).into())),
            };
        }
        if let Some(refusal) = Refusal::of(&asked, status, answer.headers(), "") {
            return Err(refused(refusal));
        }
        match expected {
            Expected::Listing | Expected::Upload if status == StatusCode::OK => {
                document(answer, expected).await
            }
            _ => Ok(answer),
        }
    }
}

fn refused(refusal: Refusal) -> HttpError {
    let kind = match refusal {
        Refusal::Garbled { .. } => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, refusal)
}

impl Expected {
    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|parameter| parameter.starts_with(name));
        match *request.method() {
            Method::GET if has("list-type=2") => Self::Listing,
            Method::POST if has("uploads") || has("uploadId=") => Self::Upload,
            _ => Self::Anything,
        }
    }
}

/// Reads the answer to a request for a document, and checks that it is one.
async fn document(answer: HttpResponse, expected: Expected) -> Result<HttpResponse, HttpError> {
    let (parts, body) = answer.into_parts();
    let content = read_document(body).await.map_err(|error| match expected {
        // The storage has done its part: an error of this kind is not retried.
        Expected::Upload => HttpError::new(HttpErrorKind::Decode, error),
        _ => error,
    })?;
    let text = String::from_utf8_lossy(&content);
    let wrong = if expected == Expected::Listing { wrong_listing(&text) } else { error_in(&text) };
    if let Some(error) = wrong {
        let kind = if is_transient(&text) { HttpErrorKind::Interrupted } else { HttpErrorKind::Decode };
        return Err(HttpError::new(kind, Unexpected(error)));
    }
    Ok(HttpResponse::from_parts(parts, content.into()))
}

async fn read_document(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let (mut chunks, mut content) = (body.bytes_stream(), Vec::new());
    while let Some(chunk) = chunks.next().await.transpose()? {
        if content.len() + chunk.len() > MAX_DOCUMENT {
            let error = format!("the storage answered with more than {} MiB", MAX_DOCUMENT >> 20);
            return Err(HttpError::new(HttpErrorKind::Decode, Unexpected(error)));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.into())
}

/// Reads an error's answer as far as it comes in time. A part is enough, because the status tells most.
async fn read_error(body: HttpResponseBody) -> String {
    let (mut chunks, mut content) = (body.bytes_stream(), Vec::new());
    let read = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            content.extend_from_slice(&chunk);
            if content.len() >= MAX_ERROR {
                content.truncate(MAX_ERROR);
                break;
            }
        }
    };
    let _ = within(ERROR_LIMIT, read).await;
    String::from_utf8_lossy(&content).into_owned()
}

impl HttpConnector for Client {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
