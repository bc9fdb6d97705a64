//! The faults of the storage, in front of its service.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use s3s::Body;
use tokio_util::sync::CancellationToken;

use super::Faults;
use super::cut::CutBody;
use super::table::Fault;
use crate::peer::{Peer, Reset};
use crate::s3::Door;

/// The time for reading a request that is refused: a client that is still writing would see its connection reset
/// instead of the answer.
const READ_LIMIT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;
type Answer = Response<Either<Body, CutBody<Body>>>;

/// The service of the storage for one connection.
#[derive(Debug)]
pub(crate) struct FaultyStorage {
    service: Door,
    faults: Arc<Faults>,
    peer: Peer,
    stop: CancellationToken,
}

impl FaultyStorage {
    pub(crate) fn new(service: Door, faults: Arc<Faults>, peer: Peer, stop: CancellationToken) -> Self {
        Self { service, faults, peer, stop }
    }
}

impl Service<Request<Incoming>> for FaultyStorage {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (faults, stop) = (self.faults.clone(), self.stop.clone());
        if !faults.is_active() {
            let answer = Service::call(&self.service, request);
            return Box::pin(async move { Ok(answer.await?.map(Either::Left)) });
        }
        if let Some(turn) = faults.storage_error() {
            let resource = request.uri().path().to_owned();
            return Box::pin(async move {
                let reading = tokio::time::timeout(READ_LIMIT, drain(request.into_body()));
                stop.run_until_cancelled(reading).await.ok_or(Reset)?.ok();
                Ok(error(turn, &resource).map(Either::Left))
            });
        }
        let (answer, peer) = (Service::call(&self.service, request), self.peer.clone());
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(delay) = faults.storage_delay() {
                stop.run_until_cancelled(tokio::time::sleep(delay)).await.ok_or(Reset)?;
            }
            if !faults.cuts_storage() {
                return Ok(answer.map(Either::Left));
            }
            peer.reset_on_close();
            match length(&answer) {
                // There is no middle of an answer without a body.
                None | Some(0) => Err(Reset.into()),
                Some(length) => Ok(answer.map(|body| Either::Right(CutBody::new(body, length)))),
            }
        })
    }
}

impl Faults {
    /// Decides whether the storage refuses a request; returns the turn of the answer.
    fn storage_error(&self) -> Option<u64> {
        let mut board = self.board();
        board.hits_storage(Fault::StorageError).then(|| board.turn(Fault::StorageError))
    }

    fn storage_delay(&self) -> Option<Duration> {
        self.board().storage_delay()
    }

    fn cuts_storage(&self) -> bool {
        self.board().hits_storage(Fault::StorageCut)
    }
}

async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// 503 or 500 in turn, as S3 says it.
fn error(turn: u64, resource: &str) -> Response<Body> {
    let (status, code, message) = match turn % 2 {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate."),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "We encountered an internal error."),
    };
    // The path is percent-encoded; of what XML reserves it can hold `&` and `'`.
    let resource = resource.replace('&', "&amp;").replace('\'', "&apos;");
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message} The fault \
         `storage_error` is on.</Message><Resource>{resource}</Resource></Error>"
    );
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn length(answer: &Response<Body>) -> Option<u64> {
    let announced =
        answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    answer.body().size_hint().exact().or(announced)
}
