//! The websockets of workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::{Notify, broadcast};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use crate::stream::Stream;

/// An order of the test to all open websockets.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Say(Message),
    Close(u16, String),
}

/// All websockets.
pub(crate) struct Sockets {
    open: AtomicUsize,
    frames: Mutex<Vec<Value>>,
    orders: broadcast::Sender<Order>,
    changed: Arc<Notify>,
}

/// Counts a websocket while it is open.
struct Open<'a>(&'a Sockets);

impl<'a> Open<'a> {
    fn begin(sockets: &'a Sockets) -> Self {
        sockets.open.fetch_add(1, Ordering::AcqRel);
        sockets.changed.notify_waiters();
        Self(sockets)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

impl Sockets {
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self {
            open: AtomicUsize::new(0),
            frames: Mutex::default(),
            orders: broadcast::channel(1024).0,
            changed,
        }
    }

    /// Serves a websocket to its end, after its handshake. It counts as open once the worker has answered a ping: until
    /// then the worker may not know that the websocket is open.
    pub(crate) async fn serve(&self, stream: &mut impl Stream, read_already: Vec<u8>) {
        let mut socket = WebSocketStream::from_partially_read(stream, read_already, Role::Server, None).await;
        let mut orders = self.orders.subscribe();
        let mut open = None;
        if socket.send(Message::Ping(Vec::new().into())).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.note(&text),
                    Some(Ok(Message::Pong(_))) if open.is_none() => open = Some(Open::begin(self)),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                order = orders.recv() => {
                    let said = match order {
                        Ok(Order::Say(message)) => socket.send(message).await,
                        Ok(Order::Close(code, reason)) => close(&mut socket, code, reason).await,
                        Err(_) => return,
                    };
                    if said.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn note(&self, text: &str) {
        let frame = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        self.changed.notify_waiters();
    }

    /// The number of open websockets.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// The messages from workers, oldest first.
    pub(crate) fn frames(&self) -> Vec<Value> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn order(&self, order: Order) {
        // Without an open websocket the order is lost: the test must wait for one first.
        let _ = self.orders.send(order);
    }
}

async fn close<S: Stream>(
    socket: &mut WebSocketStream<S>,
    code: u16,
    reason: String,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await
}

/// Closes a websocket at once, after its handshake.
pub(crate) async fn close_at_once(stream: &mut impl Stream, code: u16) {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    // The client may have disconnected already.
    let _ = close(&mut socket, code, String::new()).await;
    while matches!(socket.next().await, Some(Ok(_))) {}
}
