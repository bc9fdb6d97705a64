//! A websocket over the connections that the requests use too: the same TLS, the same proxies, the same headers.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderValue};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::dial::Dialer;
use super::stream::Stream;
use crate::transport::{Channel, ChannelFuture, Heard, Opened};
use crate::{Error, ErrorKind};

/// The answer to the handshake must come within this time, connecting included: 10 s.
pub const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Longer messages end a websocket: 1 MiB. Commands are a few hundred bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// What cannot be written within this time ends a websocket.
const WRITE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Opens one.
pub(super) async fn open(dialer: &Dialer, url: &str, headers: HeaderMap) -> Result<Opened, Error> {
    let handshake = async {
        let mut request = http::Request::get(url)
            .body(())
            .map_err(|error| Error::new(ErrorKind::Message, "the websocket's address").with_source(error))?;
        *request.headers_mut() = upgrade(headers)?;
        let stream = dialer.dial_through().await?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(8 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MAX_FRAME)
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        match tokio_tungstenite::client_async_with_config(request, stream, Some(limits)).await {
            Ok((socket, _)) => Ok(Opened::Channel(Box::new(WebSocket(socket)))),
            Err(tungstenite::Error::Http(answer)) => {
                let (head, body) = answer.into_parts();
                let body = body.unwrap_or_default().into();
                Ok(Opened::Refused(super::response(head.status, &head.headers, body)))
            }
            Err(error) => Err(failure(error)),
        }
    };
    // It is large, with all that TLS needs, and rare.
    timeout(HANDSHAKE_TIME_LIMIT, Box::pin(handshake)).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, format!("{HANDSHAKE_TIME_LIMIT:?} for the websocket's handshake")))
    })
}

fn upgrade(mut headers: HeaderMap) -> Result<HeaderMap, Error> {
    // The tunnel has been paid for; the orchestrator has no use for the proxy's credentials, nor for these.
    for name in [header::PROXY_AUTHORIZATION, header::ACCEPT, header::ACCEPT_ENCODING] {
        headers.remove(name);
    }
    let key = HeaderValue::from_str(&generate_key())
        .map_err(|error| Error::new(ErrorKind::Message, "the websocket's key").with_source(error))?;
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    Ok(headers)
}

struct WebSocket(WebSocketStream<Stream>);

impl fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebSocket")
    }
}

impl Channel for WebSocket {
    fn hear(&mut self) -> ChannelFuture<'_, Heard> {
        Box::pin(async move {
            Ok(match self.0.next().await {
                None => Heard::Closed { code: None, reason: String::new() },
                Some(Err(tungstenite::Error::ConnectionClosed)) => {
                    Heard::Closed { code: None, reason: String::new() }
                }
                Some(Err(error)) => return Err(failure(error)),
                Some(Ok(Message::Text(text))) => Heard::Text(Bytes::from(text)),
                Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes.len()),
                Some(Ok(Message::Close(frame))) => Heard::Closed {
                    code: frame.as_ref().map(|frame| frame.code.into()),
                    reason: frame
                        .map(|frame| crate::transport::excerpt(frame.reason.as_bytes()))
                        .unwrap_or_default(),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Life,
            })
        })
    }

    fn say(&mut self, text: Bytes) -> ChannelFuture<'_, ()> {
        Box::pin(async move {
            let text = Utf8Bytes::try_from(text)
                .map_err(|error| Error::new(ErrorKind::Message, "not text").with_source(error))?;
            written(self.0.send(Message::Text(text))).await
        })
    }

    fn ping(&mut self) -> ChannelFuture<'_, ()> {
        Box::pin(async move { written(self.0.send(Message::Ping(Bytes::new()))).await })
    }
}

async fn written(writing: impl Future<Output = Result<(), tungstenite::Error>>) -> Result<(), Error> {
    match timeout(WRITE_TIME_LIMIT, writing).await {
        Ok(result) => result.map_err(failure),
        Err(_) => Err(Error::new(ErrorKind::Timeout, format!("{WRITE_TIME_LIMIT:?} for writing"))),
    }
}

/// What an error of tungstenite's means.
fn failure(error: tungstenite::Error) -> Error {
    let (kind, detail) = match &error {
        tungstenite::Error::Capacity(_) => (ErrorKind::TooLarge, "websocket"),
        tungstenite::Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        )
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Io(_) => (ErrorKind::Closed, "websocket"),
        _ => (ErrorKind::Protocol, "websocket"),
    };
    Error::new(kind, detail).with_source(error)
}
