//! Websockets: commands reach a worker at once, and it sends events and progress.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rxon::WorkerId;
use rxon::model::{Command, ProgressUpdate};
use rxon::signing::EVENT_IGNORES;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::worker::{path_id, take_event, take_progress};
use super::{Desk, body, messages};
use crate::faults::{Instead, Lookout};
use crate::jobs::ProgressReport;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::wire::{Operation, SocketNumber};

/// The largest frame of a worker, in bytes.
const MAX_FRAME: usize = 1024 * 1024;

/// A websocket without a frame for this long is closed: workers ping every 20 s.
const SILENCE: Duration = Duration::from_secs(75);

/// The time limit of the handshake's end, and of writing a frame.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// `GET /_worker/ws/{id}`
pub(super) async fn open(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<String>, PathRejection>,
    Extension(peer): Extension<Peer>,
    Extension(lookout): Extension<Lookout>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let token = desk.auth.token(request.headers())?.to_owned();
    let worker = path_id(path)?;
    let accept = accept_key(request.headers())?;
    let upgrade = hyper::upgrade::on(&mut request);
    let number = desk.hub.wire.open_socket();
    let visit = Visit { desk: desk.clone(), worker, token, number };
    desk.tasks.spawn(async move {
        // The task of a websocket ends with the orchestrator, whatever it waits for.
        let stop = visit.desk.hub.stop.clone();
        if let Some(Some(mut socket)) = stop.run_until_cancelled(opened(upgrade)).await {
            let close = stop.run_until_cancelled(visit.stay(&mut socket, lookout, &peer)).await;
            let close = close.unwrap_or(Some((CloseCode::Away, "the orchestrator ends")));
            if let Some((code, reason)) = close {
                let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                let _ = timeout(CLOSE_LIMIT, socket.close(Some(frame))).await;
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response.extensions_mut().insert(number);
    Ok(response)
}

/// The time for the last frame, within the time of the shutdown.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Returns the answer to the key of the handshake.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let is = |name, expected: &str| {
        let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.trim().eq_ignore_ascii_case(expected))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|_| is(header::UPGRADE, "websocket") && is(header::SEC_WEBSOCKET_VERSION, "13"));
    let accept = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    accept.ok_or_else(|| {
        Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "this is a websocket: expected `Upgrade: websocket`, `Sec-WebSocket-Version: 13` and a `Sec-WebSocket-Key`",
        )
    })
}

/// Waits for the connection, which hyper hands over when it has written the answer.
async fn opened(upgrade: OnUpgrade) -> Option<Socket> {
    let upgraded = timeout(WRITE_LIMIT, upgrade).await.ok()?.ok()?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_FRAME)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await)
}

/// A worker with its websocket.
struct Visit {
    desk: Arc<Desk>,
    worker: WorkerId,
    token: String,
    number: SocketNumber,
}

impl Visit {
    /// Serves the websocket until it ends, or a fault ends it. Returns the code and the reason for the worker, if it is
    /// to be told.
    async fn stay(
        &self,
        socket: &mut Socket,
        mut lookout: Lookout,
        peer: &Peer,
    ) -> Option<(CloseCode, &'static str)> {
        let hub = &self.desk.hub;
        let Some((line, commands)) = hub.open_line(&self.worker) else {
            return Some((CloseCode::Again, "too many websockets"));
        };
        tracing::debug!(worker_id = %self.worker, "websocket open");
        let worker = Some(self.worker.as_str());
        let close = tokio::select! {
            biased;
            instead = hub.faults.interruption(&mut lookout, worker) => {
                match instead {
                    Instead::Silence(fault) => hub.faults.until_off(fault, worker).await,
                    Instead::Reset(_) | Instead::Answer(..) => peer.reset_on_close(),
                }
                None
            }
            close = self.converse(socket, commands) => close,
        };
        hub.close_line(&self.worker, line);
        tracing::debug!(worker_id = %self.worker, "websocket closed");
        close
    }

    /// Passes commands on and takes events until the websocket ends.
    async fn converse(
        &self,
        socket: &mut Socket,
        mut commands: mpsc::Receiver<Command>,
    ) -> Option<(CloseCode, &'static str)> {
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => {
                    let Some(command) = command else {
                        break Some((CloseCode::Policy, "a newer websocket of this worker took over"));
                    };
                    let Ok(text) = serde_json::to_string(&command) else { continue };
                    self.record(Operation::FrameOut, text.as_bytes(), false);
                    if !matches!(timeout(WRITE_LIMIT, socket.send(Message::text(text))).await, Ok(Ok(()))) {
                        break None;
                    }
                }
                frame = timeout(SILENCE, socket.next()) => match frame {
                    Ok(Some(Ok(Message::Text(text)))) => self.take(text.as_bytes()),
                    Ok(Some(Ok(Message::Binary(bytes)))) => self.record(Operation::FrameIn, &bytes, true),
                    Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => break None,
                    Ok(Some(Ok(_))) => {}
                    Err(_) => break Some((CloseCode::Away, "no frame within 75 s")),
                },
            }
        }
    }

    /// Takes a frame. Nothing answers to it, so that a wrong one is only logged.
    fn take(&self, frame: &[u8]) {
        self.record(Operation::FrameIn, frame, false);
        if let Err(refusal) = self.read(frame) {
            tracing::warn!(worker_id = %self.worker, "frame ignored: {}", refusal.text);
        }
    }

    /// Adds a frame to the wire log.
    fn record(&self, operation: Operation, frame: &[u8], is_binary: bool) {
        self.desk.hub.wire.add_frame(operation, &self.worker, self.number, frame, is_binary);
    }

    fn read(&self, frame: &[u8]) -> Result<(), Refusal> {
        let Desk { auth, .. } = &*self.desk;
        auth.message(frame, &self.token, &self.worker, &EVENT_IGNORES)?;
        // The form of the older generation has the ids of the task beside the progress.
        if let Ok(update) = serde_json::from_slice::<ProgressUpdate>(frame) {
            let report = ProgressReport {
                worker_id: self.worker.clone(),
                job_id: Some(update.job_id.to_string()),
                task_id: Some(update.task_id.to_string()),
                progress: update.progress.progress,
                message: update.progress.message,
            };
            return take_progress(&self.desk, &report).map(drop);
        }
        let event: messages::EventMessage = body::parse(frame, "an event")?;
        if let Some(id) = event.worker_id.as_deref().filter(|id| *id != self.worker.as_str()) {
            let id = crate::text::cut(id, 200);
            return Err(Refusal::forbidden(format!(
                "`worker_id` is `{id}`, expected `{}` as in the path",
                self.worker
            )));
        }
        take_event(&self.desk, self.worker.clone(), event).map(drop)
    }
}
