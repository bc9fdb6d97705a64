//! The websockets of workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::{Notify, broadcast};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::ScriptedOrchestrator;
use crate::stream::Stream;

/// An order of the test to all open websockets.
#[derive(Debug, Clone)]
enum Order {
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

    fn order(&self, order: Order) {
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

impl ScriptedOrchestrator {
    /// The number of open websockets.
    pub fn open_websockets(&self) -> usize {
        self.inner.sockets.open.load(Ordering::Acquire)
    }

    /// Waits until at least this many websockets are open.
    ///
    /// # Panics
    /// When the time limit passes, with a summary of the requests.
    #[track_caller]
    pub fn wait_for_open_websockets(&self, at_least: usize) -> impl Future<Output = ()> + Send + use<> {
        let inner = self.inner.clone();
        let enough = move || (inner.sockets.open.load(Ordering::Acquire) >= at_least).then_some(());
        self.expect(format!("{at_least} open websockets"), enough)
    }

    /// Sends a command over every open websocket.
    pub fn send_command(&self, command: &Value) {
        self.send_websocket_text(&command.to_string());
    }

    /// Sends any text over every open websocket.
    pub fn send_websocket_text(&self, text: &str) {
        self.inner.sockets.order(Order::Say(Message::text(text)));
    }

    /// Sends a binary message over every open websocket.
    pub fn send_websocket_bytes(&self, bytes: &[u8]) {
        self.inner.sockets.order(Order::Say(Message::binary(bytes.to_vec())));
    }

    /// Closes every open websocket with this code and reason.
    pub fn close_websockets(&self, code: u16, reason: &str) {
        self.inner.sockets.order(Order::Close(code, reason.to_owned()));
    }

    /// The messages from workers over websockets, oldest first. Text that is not JSON is returned as a string.
    pub fn websocket_frames(&self) -> Vec<Value> {
        self.inner.sockets.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
