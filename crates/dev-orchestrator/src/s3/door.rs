//! Protection of the storage against web pages of other sites: see [`OwnNames`].

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, HttpError};

use crate::host::OwnNames;
use crate::persist::Keeper;

/// Serves the requests that are for one of our names.
#[derive(Clone)]
pub(crate) struct Door {
    names: Arc<OwnNames>,
    service: S3Service,
    /// Keeps the changes, if anything is kept.
    keeper: Option<Keeper>,
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Door").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Door {
    pub(super) fn new(names: OwnNames, service: S3Service, keeper: Option<Keeper>) -> Self {
        Self { names: Arc::new(names), service, keeper }
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = BoxFuture<'static, Result<Response<Body>, HttpError>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let refused = match self.names.check(request.uri(), request.headers()) {
            Err(problem) => Some(refusal(StatusCode::FORBIDDEN, "AccessDenied", &problem)),
            Ok(()) if request.method() == Method::OPTIONS => {
                let mut response = refusal(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "MethodNotAllowed",
                    "pages of other sites have no access",
                );
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE"));
                Some(response)
            }
            Ok(()) => None,
        };
        if let Some(response) = refused {
            return Box::pin(std::future::ready(Ok(response)));
        }
        let (service, keeper) = (self.service.clone(), self.keeper.clone());
        let asks = request.method().is_safe();
        Box::pin(async move {
            let answer = service.call(request.map(Body::from)).await?;
            let Some(keeper) = keeper else { return Ok(answer) };
            Ok(match keeper.before_answer(asks).await {
                Ok(()) => answer,
                Err(problem) => {
                    refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &problem.to_string())
                }
            })
        })
    }
}

/// Returns an error in the form of S3.
fn refusal(status: StatusCode, code: &str, problem: &str) -> Response<Body> {
    let problem = problem.replace('&', "&amp;").replace('<', "&lt;");
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{problem}</Message></Error>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
