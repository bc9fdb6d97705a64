//! Websockets, with the same TLS, proxies and headers as requests.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderValue};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::body::response;
use super::cookies::Jar;
use super::dial::Dialer;
use super::stream::Stream;
use crate::error::{Error, ErrorKind};
use crate::limit::within;
use crate::text::excerpt;
use crate::transport::{Channel, ChannelFuture, Opened, Received};

/// The time limit of the handshake, including connecting: 10 s.
pub const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(10);

/// The maximal size of a message: 1 MiB. A larger one ends the websocket. Commands have a few hundred bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// The time limit of writing a message. Exceeding it ends the websocket.
const WRITE_TIME_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn open(
    dialer: &Dialer,
    url: &str,
    headers: HeaderMap,
    cookies: &Jar,
) -> Result<Opened, Error> {
    let handshake = async {
        let mut request = http::Request::get(url).body(()).map_err(|error| {
            Error::new(ErrorKind::Message, "the address of the websocket").with_source(error)
        })?;
        let path = request.uri().path().to_owned();
        *request.headers_mut() = upgrade(headers);
        if let Some(value) = cookies.header(&path) {
            request.headers_mut().insert(header::COOKIE, value);
        }
        let stream = dialer.dial(true).await?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(8 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MAX_FRAME)
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        match tokio_tungstenite::client_async_with_config(request, stream, Some(limits)).await {
            Ok((socket, answer)) => {
                cookies.take(answer.headers(), &path);
                Ok(Opened::Channel(Box::new(WebSocket(socket))))
            }
            Err(tungstenite::Error::Http(answer)) => {
                let (head, body) = answer.into_parts();
                cookies.take(&head.headers, &path);
                let body = body.unwrap_or_default().into();
                Ok(Opened::Refused(response(head.status, &head.headers, body)))
            }
            Err(error) => Err(failure(error)),
        }
    };
    // Boxed because it is rare, and large with TLS.
    within(HANDSHAKE_TIME_LIMIT, Box::pin(handshake)).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, format!("{HANDSHAKE_TIME_LIMIT:?} for the websocket's handshake")))
    })
}

fn upgrade(mut headers: HeaderMap) -> HeaderMap {
    // The proxy has its credentials already, and the orchestrator must not see them; the other two have no use here.
    for name in [header::PROXY_AUTHORIZATION, header::ACCEPT, header::ACCEPT_ENCODING] {
        headers.remove(name);
    }
    let key = HeaderValue::try_from(generate_key()).expect("base64 is valid in a header");
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    headers
}

struct WebSocket(WebSocketStream<Stream>);

impl fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebSocket")
    }
}

impl Channel for WebSocket {
    fn receive(&mut self) -> ChannelFuture<'_, Received> {
        Box::pin(async move {
            Ok(match self.0.next().await {
                None | Some(Err(tungstenite::Error::ConnectionClosed)) => {
                    Received::Closed { code: None, reason: String::new() }
                }
                Some(Err(error)) => return Err(failure(error)),
                Some(Ok(Message::Text(text))) => Received::Text(Bytes::from(text)),
                Some(Ok(Message::Binary(bytes))) => Received::Binary(bytes.len()),
                Some(Ok(Message::Close(frame))) => Received::Closed {
                    code: frame.as_ref().map(|frame| frame.code.into()),
                    reason: frame.map(|frame| excerpt(frame.reason.as_bytes())).unwrap_or_default(),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Received::SignOfLife,
            })
        })
    }

    fn send(&mut self, text: Bytes) -> ChannelFuture<'_, ()> {
        Box::pin(async move {
            let text = Utf8Bytes::try_from(text)
                .map_err(|error| Error::new(ErrorKind::Message, "not text").with_source(error))?;
            limit_write(self.0.send(Message::Text(text))).await
        })
    }

    fn ping(&mut self) -> ChannelFuture<'_, ()> {
        Box::pin(async move { limit_write(self.0.send(Message::Ping(Bytes::new()))).await })
    }
}

async fn limit_write(writing: impl Future<Output = Result<(), tungstenite::Error>>) -> Result<(), Error> {
    match within(WRITE_TIME_LIMIT, writing).await {
        Ok(result) => result.map_err(failure),
        Err(_) => Err(Error::new(ErrorKind::Timeout, format!("{WRITE_TIME_LIMIT:?} for writing"))),
    }
}

/// Converts an error of tungstenite.
fn failure(error: tungstenite::Error) -> Error {
    let kind = match &error {
        tungstenite::Error::Capacity(_) => ErrorKind::TooLarge,
        tungstenite::Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        )
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Io(_) => ErrorKind::Closed,
        _ => ErrorKind::Protocol,
    };
    Error::new(kind, "websocket").with_source(error)
}
