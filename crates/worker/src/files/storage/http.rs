//! The HTTP client of the storage, with the configured TLS and proxies. Of an error's answer it returns only the code and
//! the message.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::{Proxy, Url};
use rxon::transport::http::storage_tls;

use super::answer::{error_in, is_transient, summary, wrong_listing};
use crate::config::Problem;
use crate::files::settings::StorageSettings;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A request fails after this time without a byte from the storage. The upload of a part of 8 MiB has to end within it, too.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The most bytes that are read of an error's answer.
const MAX_ERROR: usize = 64 << 10;

/// The longest time for reading an error's answer.
const ERROR_LIMIT: Duration = Duration::from_secs(10);

/// The most bytes of a document. A listing has at most 1000 keys of at most 1 KiB, which may be escaped.
const MAX_DOCUMENT: usize = 32 << 20;

/// One client for all stores, so that they share connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client(reqwest::Client);

/// The error of a request whose answer, or whose address, cannot be used.
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
    pub(super) fn new(settings: &StorageSettings) -> Result<Self, Problem> {
        let authorities = settings.tls_ca_path.as_deref();
        let tls = storage_tls(authorities).map_err(|error| {
            let path = authorities.map(|path| path.display().to_string()).unwrap_or_default();
            Problem::new("TLS_CA_PATH", path, error.expected())
        })?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .user_agent(concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")))
            // The configuration has the proxies of the environment.
            .no_proxy();
        let proxies = settings.proxies.clone();
        if !proxies.is_empty() {
            builder = builder.proxy(Proxy::custom(move |url| {
                proxies.exposed(url.scheme() == "https", url.host_str()?, url.port_or_known_default()?)
            }));
        }
        Ok(Self(builder.build().expect("building a client with preconfigured TLS cannot fail")))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // reqwest would panic on an address that it cannot read.
        if Url::parse(&request.uri().to_string()).is_err() {
            let error = Unexpected("the address of the request is not valid".to_owned());
            return Err(HttpError::new(HttpErrorKind::Unknown, error));
        }
        let expected = Expected::of(&request);
        let answer = self.0.call(request).await?;
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            let (parts, body) = answer.into_parts();
            let text = summary(&read_error(body).await);
            return Ok(HttpResponse::from_parts(parts, text.into()));
        }
        match expected {
            Expected::Listing | Expected::Upload if status == StatusCode::OK => {
                document(answer, expected).await
            }
            _ => Ok(answer),
        }
    }
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
    let _ = tokio::time::timeout(ERROR_LIMIT, read).await;
    String::from_utf8_lossy(&content).into_owned()
}

impl HttpConnector for Client {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
