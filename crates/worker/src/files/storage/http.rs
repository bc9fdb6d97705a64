//! The HTTP client of the storage, with TLS and proxies as the configuration has them. Nothing of an error's answer comes
//! out of it but what may be told.

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
use rxon::transport::http::{InvalidTls, storage_tls};

use super::answer::{error_in, may_pass, told, wrong_listing};
use crate::config::WorkerConfig;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A storage that says nothing for so long is given up. A part of 8 MiB has to be through by then, too.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// So much of an error's answer is looked at, and for so long.
const LARGEST_ERROR: usize = 64 << 10;
const ERROR_LIMIT: Duration = Duration::from_secs(10);

/// A listing has at most 1000 keys of at most 1 KiB, each escaped.
const LARGEST_DOCUMENT: usize = 32 << 20;

/// Hands one client to all stores, so that they share connections.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
}

/// Why nothing came of a request, though there was an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unexpected(String);

/// What is looked at in an answer that says 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Listing,
    /// The beginning or the end of an upload in parts.
    Upload,
    Anything,
}

impl Client {
    /// Reads the system's certificates and those of `TLS_CA_PATH`.
    pub(super) fn new(config: &WorkerConfig) -> Result<Self, InvalidTls> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(storage_tls(config.tls_ca_path.as_deref())?)
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .user_agent(concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")))
            // The environment was read with the configuration.
            .no_proxy();
        let proxies = config.proxies();
        if !proxies.is_empty() {
            builder = builder.proxy(Proxy::custom(move |url| {
                proxies.exposed(url.scheme() == "https", url.host_str()?, url.port_or_known_default()?)
            }));
        }
        let http = builder.build().expect("a client whose TLS is given has nothing to fail on");
        Ok(Self { http })
    }

    /// The answer to a request for a document: read whole, and only if it is one.
    async fn document(&self, answer: HttpResponse, expected: Expected) -> Result<HttpResponse, HttpError> {
        let (parts, body) = answer.into_parts();
        let content = whole(body).await.map_err(|error| match expected {
            // What was done already is not done again.
            Expected::Upload => HttpError::new(HttpErrorKind::Decode, error),
            _ => error,
        })?;
        let text = String::from_utf8_lossy(&content);
        let wrong = match expected {
            Expected::Listing => wrong_listing(&text),
            _ => error_in(&text),
        };
        match wrong {
            Some(why) => {
                let kind = if may_pass(&text) { HttpErrorKind::Interrupted } else { HttpErrorKind::Decode };
                Err(HttpError::new(kind, Unexpected(why)))
            }
            None => Ok(HttpResponse::from_parts(parts, content.into())),
        }
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // An address that this client cannot read would be a panic there.
        if Url::parse(&request.uri().to_string()).is_err() {
            let why = Unexpected("the address of the request is none".to_owned());
            return Err(HttpError::new(HttpErrorKind::Unknown, why));
        }
        let expected = Expected::of(&request);
        let answer = self.http.call(request).await?;
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            let (parts, body) = answer.into_parts();
            let text = told(&beginning(body).await);
            return Ok(HttpResponse::from_parts(parts, text.into()));
        }
        match expected {
            Expected::Listing | Expected::Upload if status == StatusCode::OK => {
                self.document(answer, expected).await
            }
            _ => Ok(answer),
        }
    }
}

impl Expected {
    fn of(request: &HttpRequest) -> Self {
        let mut parameters = request.uri().query().unwrap_or_default().split('&');
        match *request.method() {
            Method::GET if parameters.any(|parameter| parameter == "list-type=2") => Self::Listing,
            Method::POST
                if parameters.any(|parameter| {
                    parameter.starts_with("uploads") || parameter.starts_with("uploadId=")
                }) =>
            {
                Self::Upload
            }
            _ => Self::Anything,
        }
    }
}

async fn whole(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let (mut chunks, mut content) = (body.bytes_stream(), Vec::new());
    while let Some(chunk) = chunks.next().await.transpose()? {
        if content.len() + chunk.len() > LARGEST_DOCUMENT {
            let why = format!("the storage answered with more than {} MiB", LARGEST_DOCUMENT >> 20);
            return Err(HttpError::new(HttpErrorKind::Decode, Unexpected(why)));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.into())
}

/// What of an error's answer has come, if only a part of it: its status says most.
async fn beginning(body: HttpResponseBody) -> String {
    let (mut chunks, mut content) = (body.bytes_stream(), Vec::new());
    let gather = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            content.extend_from_slice(&chunk);
            if content.len() >= LARGEST_ERROR {
                content.truncate(LARGEST_ERROR);
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ERROR_LIMIT, gather).await;
    String::from_utf8_lossy(&content).into_owned()
}

impl HttpConnector for Client {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
