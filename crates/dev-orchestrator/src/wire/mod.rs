//! The wire log: the last exchanges with workers, for people who want to see what their worker says.
//!
//! A request costs a copy of its headers and of the beginning of both bodies, and nothing else: reading, masking and
//! writing as JSON is done when somebody asks.

mod exchange;
mod har;
mod log;
mod mask;
mod operation;
mod recording;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::Method;
use bytes::Bytes;
use rxon::WorkerId;
use serde::Deserialize;

use self::exchange::{Exchange, Head};
use self::log::Log;
pub(crate) use self::operation::{Operation, Visit, has_body};
pub(crate) use self::recording::{Handed, Recording, SocketNumber};
use crate::clock::Now;
use crate::s3::S3Settings;
use crate::settings::Settings;

/// The number of exchanges in an answer, unless another one is asked for.
const DEFAULT_LIMIT: usize = 1000;

/// The exchanges with workers.
#[derive(Debug)]
pub(crate) struct Wire {
    log: Mutex<Log>,
    /// The number of websockets that were opened.
    sockets: AtomicU64,
    /// The texts that are masked wherever they are.
    secrets: Vec<String>,
}

/// The wanted exchanges.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// Only exchanges with a higher number.
    after: Option<u64>,
    worker: Option<String>,
    operation: Option<Operation>,
    pub(crate) limit: Option<usize>,
    pub(crate) format: Option<Format>,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Json,
    Har,
}

/// Some of the exchanges, ready to be written.
#[derive(Debug)]
pub(crate) struct Page {
    exchanges: Vec<Exchange>,
    /// The value of `after` for the exchanges that follow.
    next: u64,
    secrets: Vec<String>,
}

impl Query {
    fn wants(&self, exchange: &Exchange) -> bool {
        let head = &exchange.head;
        self.worker.as_deref().is_none_or(|worker| head.worker.as_deref() == Some(worker))
            && self.operation.is_none_or(|operation| head.operation == operation)
    }
}

impl Wire {
    pub(crate) fn new(settings: &Settings) -> Self {
        let keys = settings.storage.iter().flat_map(S3Settings::keys);
        let secrets = settings.token.iter().map(String::as_str).chain(keys).map(str::to_owned).collect();
        Self { log: Mutex::new(Log::default()), sockets: AtomicU64::new(0), secrets }
    }

    /// The largest number of exchanges.
    pub(crate) const MAX_LIMIT: usize = log::MAX_EXCHANGES;

    /// Returns the wanted exchanges, the oldest first: with `after` those that follow, else the last ones.
    pub(crate) fn page(&self, query: &Query) -> Page {
        let default = if query.format == Some(Format::Har) { Self::MAX_LIMIT } else { DEFAULT_LIMIT };
        let limit = query.limit.unwrap_or(default);
        let log = self.log();
        let wanted = log.after(query.after.unwrap_or(0)).filter(|exchange| query.wants(exchange));
        let mut exchanges: Vec<Exchange>;
        if query.after.is_some() {
            exchanges = wanted.take(limit).cloned().collect();
        } else {
            exchanges = wanted.rev().take(limit).cloned().collect();
            exchanges.reverse();
        }
        // A full page may have followers; else everything up to the last exchange was looked at.
        let full = exchanges.last().filter(|_| exchanges.len() == limit && query.after.is_some());
        let next = full.map_or(log.last().max(query.after.unwrap_or(0)), |last| last.number);
        Page { exchanges, next, secrets: self.secrets.clone() }
    }

    /// Returns the number of a new websocket.
    pub(crate) fn open_socket(&self) -> SocketNumber {
        SocketNumber(self.sockets.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Adds a frame of a websocket.
    pub(crate) fn add_frame(
        &self,
        operation: Operation,
        worker: &WorkerId,
        socket: SocketNumber,
        data: &[u8],
        is_binary: bool,
    ) {
        let (kept, length) = (exchange::kept_body(data), data.len() as u64);
        let is_in = operation == Operation::FrameIn;
        let head = Head {
            at: Now::read().unix,
            worker: Some(worker.as_str().into()),
            operation,
            method: Method::GET,
            path: format!("/_worker/ws/{worker}").into(),
            request_bytes: if is_in { length } else { 0 },
            response_bytes: if is_in { 0 } else { length },
            socket: Some(socket.0),
            is_binary,
            ..Head::default()
        };
        let (request, response) = if is_in { (kept, Bytes::new()) } else { (Bytes::new(), kept) };
        self.add(head, request, response);
    }

    fn add(&self, head: Head, request: Bytes, response: Bytes) {
        self.log().push(head, request, response);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
