//! The bodies of answers, which drive their connections.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::super::http1::timeout;
use super::super::stream::failure;
use super::connection::Connection;
use super::pool::Pool;
use super::request::RequestBody;
use crate::error::Error;

/// The body of an answer, read from its connection as it is polled. Dropped before its end, it closes the connection.
///
/// Its errors say how far the exchange came, as those of the request do.
// The lock, which nobody ever waits for, makes the body `Sync`.
pub struct AnswerBody<B: RequestBody>(Mutex<Reading<B>>);

struct Reading<B: RequestBody> {
    incoming: Incoming,
    /// None once the body has ended.
    connection: Option<Connection<B>>,
    /// Where the connection is kept after the body.
    pool: Arc<Pool<B>>,
}

impl<B: RequestBody> fmt::Debug for AnswerBody<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnswerBody")
    }
}

impl<B: RequestBody> AnswerBody<B> {
    pub(super) fn new(incoming: Incoming, connection: Connection<B>, pool: Arc<Pool<B>>) -> Self {
        let mut reading = Reading { incoming, connection: Some(connection), pool };
        if reading.incoming.is_end_stream() {
            reading.end();
        }
        Self(Mutex::new(reading))
    }
}

impl<B: RequestBody> Reading<B> {
    /// Keeps the connection for the next request, if it can carry another.
    fn end(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.http.end()
        {
            self.pool.keep(connection);
        }
    }

    fn failed(&mut self, error: Error) -> Error {
        match self.connection.take() {
            Some(connection) => error.with_progress(connection.http.progress()),
            None => error,
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { incoming, connection, .. } = self;
        let mut waiting = |context: &mut Context<'_>| Pin::new(&mut *incoming).poll_frame(context);
        let polled = match connection {
            None => waiting(context),
            Some(connection) => match ready!(connection.http.poll(context, waiting)) {
                Ok(frame) => Poll::Ready(frame),
                Err(expired) => {
                    self.pool.forget(&connection.dialer);
                    return Poll::Ready(Some(Err(self.failed(timeout(expired)))));
                }
            },
        };
        polled.map(|frame| match frame {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.end();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = failure(error.into(), "in the body");
                Some(Err(self.failed(error)))
            }
            None => {
                self.end();
                None
            }
        })
    }
}

impl<B: RequestBody> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).poll_next(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).incoming.size_hint()
    }
}
