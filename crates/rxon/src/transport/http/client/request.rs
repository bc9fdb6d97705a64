//! The bodies of requests.

use bytes::Bytes;
use http_body::Body;

use super::super::stream::BoxError;

/// The body of a request.
pub trait RequestBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> RequestBody for B {}
