//! A connection of the client.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::time::Instant;

use super::super::CHECK_INTERVAL;
use super::super::dial::Dialer;
use super::super::http1::{Failed, Http1, Tracked};
use super::request::RequestBody;
use crate::error::Error;
use crate::limit::Limits;

/// An open connection.
pub(super) struct Connection<B: RequestBody> {
    pub(super) dialer: Arc<Dialer>,
    pub(super) http: Box<Http1<B>>,
    /// The TLS configuration of the connection, where it can change, and the time of the last check.
    tls: Option<(Arc<ClientConfig>, Instant)>,
}

impl<B: RequestBody> Connection<B> {
    pub(super) async fn open(dialer: &Arc<Dialer>) -> Result<Self, Error> {
        // Boxed because it is rare, and with TLS too large for every request's future.
        let stream = Box::pin(dialer.dial(false)).await?;
        let tls = dialer.tls().map(|config| (config, Instant::now()));
        Ok(Self { dialer: dialer.clone(), http: Box::new(Http1::new(stream, Duration::ZERO).await?), tls })
    }

    /// Returns whether the certificates have changed since the connection was opened.
    pub(super) async fn is_outdated(&mut self) -> bool {
        let Some((config, checked)) = &mut self.tls else { return false };
        if checked.elapsed() < CHECK_INTERVAL {
            return false;
        }
        *checked = Instant::now();
        self.dialer.has_changed(config).await
    }

    /// Sends a request, and returns the answer as soon as its head is there, with the connection that its body is read
    /// from.
    pub(super) async fn send(
        mut self,
        request: Request<Tracked<B>>,
        standstill_limit: Duration,
    ) -> Result<(Response<Incoming>, Self), Failed<B>> {
        let limits = Limits::new(Duration::MAX).idle(standstill_limit);
        let answer = self.http.exchange(request, limits, |answer| std::future::ready(Ok(answer))).await?;
        Ok((answer, self))
    }
}
