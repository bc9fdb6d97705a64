//! A connection of the client, driven from within its exchanges.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::Instant;

use super::super::CHECK_INTERVAL;
use super::super::dial::Dialer;
use super::super::stream::{MAX_HEAD, MAX_HEADERS, Watch, Watched, failure, line, lock};
use super::request::{RequestBody, Tracked};
use super::standstill::Standstill;
use crate::error::{Error, ErrorKind, ExchangeProgress};
use crate::limit::Movement;

type Http<B> = http1::Connection<TokioIo<Watched>, Tracked<B>>;

/// An open connection.
pub(super) struct Connection<B: RequestBody> {
    pub(super) dialer: Arc<Dialer>,
    sender: SendRequest<Tracked<B>>,
    /// hyper's side of the connection, dropped when it ends: only the drop makes hyper wake those that still wait for
    /// something from it.
    http: Option<Pin<Box<Http<B>>>>,
    watch: Arc<Mutex<Watch>>,
    movement: Movement,
    /// Whether it has carried an exchange before.
    reused: bool,
    /// The TLS configuration of the connection, where it can change, and the time of the last check.
    tls: Option<(Arc<ClientConfig>, Instant)>,
}

/// A request that failed.
pub(super) struct Failed<B> {
    pub(super) error: Error,
    /// The request, if no byte of it was written.
    pub(super) unsent: Option<Box<Request<Tracked<B>>>>,
}

impl<B: RequestBody> Connection<B> {
    pub(super) async fn open(dialer: &Arc<Dialer>) -> Result<Self, Error> {
        // Boxed because it is rare, and with TLS too large for every request's future.
        let stream = Box::pin(dialer.dial(false)).await?;
        let tls = dialer.tls().map(|config| (config, Instant::now()));
        let movement = line(&stream).movement().clone();
        let watch = Arc::<Mutex<Watch>>::default();
        let io = TokioIo::new(Watched::new(stream, watch.clone()));
        let (sender, http) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .handshake(io)
            .await
            .map_err(|error| Error::new(ErrorKind::Connect, "HTTP").with_source(error))?;
        Ok(Self {
            dialer: dialer.clone(),
            sender,
            http: Some(Box::pin(http)),
            watch,
            movement,
            reused: false,
            tls,
        })
    }

    /// Moves the bytes that can be moved.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(http) = &mut self.http
            && http.as_mut().poll(context).is_ready()
        {
            self.http = None;
        }
    }

    pub(super) fn progress(&self) -> ExchangeProgress {
        lock(&self.watch).progress
    }

    /// Returns whether it can carry another exchange, after the whole answer to the last.
    pub(super) fn is_reusable(&self) -> bool {
        self.progress().written && self.is_open()
    }

    fn is_open(&self) -> bool {
        self.http.is_some() && !self.sender.is_closed()
    }

    /// Returns the connection, unless the server has closed it or the certificates have changed since its last exchange.
    pub(super) async fn still_usable(mut self) -> Option<Self> {
        if let Some((config, checked)) = &mut self.tls
            && checked.elapsed() >= CHECK_INTERVAL
        {
            *checked = Instant::now();
            if self.dialer.has_changed(config).await {
                return None;
            }
        }
        lock(&self.watch).is_probing = true;
        poll_fn(|context| {
            self.poll(context);
            Poll::Ready(())
        })
        .await;
        lock(&self.watch).is_probing = false;
        self.is_open().then_some(self)
    }

    /// Sends a request, and returns the answer as soon as its head is there, with what its body is read from.
    pub(super) async fn send(
        mut self,
        request: Request<Tracked<B>>,
        standstill_limit: Duration,
    ) -> Result<(Response<Incoming>, Self, Standstill), Failed<B>> {
        *lock(&self.watch) = Watch {
            body_taken: request.body().taken.clone(),
            progress: ExchangeProgress { reused: self.reused, ..ExchangeProgress::default() },
            ..Watch::default()
        };
        self.reused = true;
        let mut standstill = Standstill::new(standstill_limit, self.movement.clone());
        let answer = {
            let mut answer = pin!(self.sender.try_send_request(request));
            let http = &mut self.http;
            poll_fn(|context| {
                // The first poll queues the request, and polling the connection writes it and reads its answer.
                if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                    return Poll::Ready(Ok(answer));
                }
                if http.as_mut().is_some_and(|http| http.as_mut().poll(context).is_ready()) {
                    *http = None;
                }
                if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                    return Poll::Ready(Ok(answer));
                }
                standstill.poll(context).map(Err)
            })
            .await
        };
        let (error, unsent) = match answer {
            Ok(Ok(answer)) => return Ok((answer, self, standstill)),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                (failure(error.into_error().into(), ""), unsent)
            }
            Err(expired) => {
                // What is not sent yet must not arrive beside a repetition.
                lock(&self.watch).is_given_up = true;
                (Error::new(ErrorKind::Timeout, expired.to_string()), None)
            }
        };
        Err(Failed { error: lock(&self.watch).explained(error), unsent })
    }
}
