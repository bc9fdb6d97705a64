//! Exchanges as JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::Page;
use super::exchange::{Exchange, Headers, MAX_BODY};
use super::mask::Masks;
use super::operation::Operation;
use crate::faults::Fault;

#[derive(Serialize)]
struct PageView<'a> {
    exchanges: Vec<ExchangeView<'a>>,
    next: u64,
}

#[derive(Serialize)]
struct ExchangeView<'a> {
    n: u64,
    at: f64,
    worker_id: Option<&'a str>,
    operation: Operation,
    method: &'a str,
    path: String,
    status: Option<u16>,
    request_bytes: u64,
    response_bytes: u64,
    seconds: f64,
    request: MessageView<'a>,
    response: MessageView<'a>,
    /// Whether a body is longer than what is shown of it.
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
}

#[derive(Serialize)]
struct MessageView<'a> {
    headers: BTreeMap<&'a str, String>,
    body: Option<String>,
}

impl Page {
    /// Writes the exchanges as JSON. Takes a while for large ones.
    ///
    /// # Errors
    /// Our values can always be serialised; the compiler does not know that.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let exchanges = self.exchanges.iter().map(|exchange| exchange.view(&self.masks(exchange)));
        serde_json::to_vec(&PageView { exchanges: exchanges.collect(), next: self.next })
    }

    /// Returns the masks for one exchange: the secrets of the orchestrator, and those that the request itself shows.
    pub(super) fn masks(&self, exchange: &Exchange) -> Masks {
        let headers = &exchange.head.request_headers;
        let token = headers.get("x-worker-token");
        let bearer = headers.get("authorization");
        let bearer = bearer.and_then(|value| Some(value.split_once(' ')?.1.trim().to_owned()));
        Masks::new(self.secrets.iter().cloned().chain(token).chain(bearer))
    }
}

impl Exchange {
    fn view(&self, masks: &Masks) -> ExchangeView<'_> {
        let head = &self.head;
        let message = |headers, body: &Option<Bytes>, bytes| MessageView {
            headers: masked(headers, masks),
            body: body.as_ref().map(|body| masks.body(body, is_cut(bytes))),
        };
        ExchangeView {
            n: self.number,
            at: head.at,
            worker_id: head.worker.as_deref(),
            operation: head.operation,
            method: head.method.as_str(),
            path: masks.path(&head.path),
            status: head.status.map(|status| status.as_u16()),
            request_bytes: head.request_bytes,
            response_bytes: head.response_bytes,
            seconds: head.seconds,
            request: message(&head.request_headers, &self.request, head.request_bytes),
            response: message(&head.response_headers, &self.response, head.response_bytes),
            cut: is_cut(head.request_bytes) || is_cut(head.response_bytes),
            fault: head.fault,
        }
    }
}

/// Whether a body of this length is kept in part only.
pub(super) fn is_cut(bytes: u64) -> bool {
    bytes > MAX_BODY as u64
}

/// Returns the headers by their names; the values of one that stands several times are joined.
fn masked<'a>(headers: &'a Headers, masks: &Masks) -> BTreeMap<&'a str, String> {
    let mut map = BTreeMap::<&str, String>::new();
    for (name, value) in headers.iter() {
        let value = masks.header(name, &value);
        map.entry(name)
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert(value);
    }
    map
}
