//! Exchanges as an HTTP archive (HAR 1.2), which the developer tools of browsers can open.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::dto::{Timestamp, TimestampFormat};
use serde::Serialize;
use serde_json::json;

use super::Page;
use super::exchange::{Exchange, Headers};
use super::mask::Masks;
use super::operation::Operation;
use super::view::is_cut;

#[derive(Serialize)]
struct Archive {
    log: ArchiveLog,
}

#[derive(Serialize)]
struct ArchiveLog {
    version: &'static str,
    creator: Creator,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Creator {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: String,
    /// In milliseconds.
    time: f64,
    request: RequestEntry,
    response: ResponseEntry,
    cache: serde_json::Value,
    timings: serde_json::Value,
    #[serde(rename = "_webSocketMessages", skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageEntry>,
    #[serde(rename = "_worker", skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestEntry {
    method: String,
    url: String,
    http_version: &'static str,
    cookies: [(); 0],
    headers: Vec<Pair>,
    query_string: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<Content>,
    headers_size: i64,
    body_size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseEntry {
    /// 0 if there was no answer, as in the archives of browsers.
    status: u16,
    status_text: &'static str,
    http_version: &'static str,
    cookies: [(); 0],
    headers: Vec<Pair>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: &'static str,
    headers_size: i64,
    body_size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mime_type: String,
    text: String,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct MessageEntry {
    /// `send` for frames of the worker, which is the client.
    #[serde(rename = "type")]
    direction: &'static str,
    /// In seconds since 1970.
    time: f64,
    opcode: u8,
    data: String,
}

impl Page {
    /// Writes the exchanges as an archive: one entry for each HTTP exchange, with the frames of its websocket. Takes a
    /// while for large ones.
    ///
    /// # Errors
    /// Our values can always be serialised; the compiler does not know that.
    pub(crate) fn to_har(&self) -> serde_json::Result<Vec<u8>> {
        let mut entries: Vec<Entry> = Vec::new();
        // The positions of the entries of websockets.
        let mut sockets = HashMap::<u64, usize>::new();
        for exchange in &self.exchanges {
            let masks = self.masks(exchange);
            let position = exchange.head.socket.and_then(|socket| sockets.get(&socket).copied());
            let position = position.unwrap_or_else(|| {
                // A frame whose handshake is no longer known stands for it.
                entries.push(exchange.entry(&masks));
                entries.len() - 1
            });
            sockets.extend(exchange.head.socket.map(|socket| (socket, position)));
            entries[position].messages.extend(exchange.message(&masks));
        }
        let creator = Creator { name: "avtomatika", version: env!("CARGO_PKG_VERSION") };
        serde_json::to_vec(&Archive { log: ArchiveLog { version: "1.2", creator, entries } })
    }
}

impl Exchange {
    fn entry(&self, masks: &Masks) -> Entry {
        let head = &self.head;
        let is_frame = matches!(head.operation, Operation::FrameIn | Operation::FrameOut);
        let milliseconds = head.seconds * 1000.0;
        Entry {
            started_date_time: date_time(head.at),
            time: milliseconds,
            request: self.request_entry(masks, is_frame),
            response: self.response_entry(masks, is_frame),
            cache: json!({}),
            timings: json!({"send": 0, "wait": milliseconds, "receive": 0}),
            messages: Vec::new(),
            worker: head.worker.as_deref().map(str::to_owned),
        }
    }

    fn request_entry(&self, masks: &Masks, is_frame: bool) -> RequestEntry {
        let head = &self.head;
        let path = masks.path(&head.path);
        let host = head.request_headers.get("host").unwrap_or_else(|| "localhost".to_owned());
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Pair { name: name.to_owned(), value: value.to_owned() }
        });
        let body = self.request.as_ref().filter(|body| !body.is_empty() && !is_frame);
        RequestEntry {
            method: head.method.to_string(),
            query_string: pairs.collect(),
            url: format!("http://{host}{path}"),
            http_version: "HTTP/1.1",
            cookies: [],
            headers: pairs_of(&head.request_headers, masks),
            post_data: body.map(|body| Content {
                size: None,
                mime_type: media_type(&head.request_headers),
                text: masks.body(body, is_cut(head.request_bytes)),
            }),
            headers_size: -1,
            body_size: if is_frame { 0 } else { head.request_bytes },
        }
    }

    fn response_entry(&self, masks: &Masks, is_frame: bool) -> ResponseEntry {
        let head = &self.head;
        let size = if is_frame { 0 } else { head.response_bytes };
        let body = self.response.as_ref().filter(|_| !is_frame);
        ResponseEntry {
            status: head.status.map_or(if is_frame { 101 } else { 0 }, |status| status.as_u16()),
            status_text: head.status.and_then(|status| status.canonical_reason()).unwrap_or_default(),
            http_version: "HTTP/1.1",
            cookies: [],
            headers: pairs_of(&head.response_headers, masks),
            content: Content {
                size: Some(size),
                mime_type: media_type(&head.response_headers),
                text: body.map(|body| masks.body(body, is_cut(size))).unwrap_or_default(),
            },
            redirect_url: "",
            headers_size: -1,
            body_size: size,
        }
    }

    /// Returns the frame, if this is one.
    fn message(&self, masks: &Masks) -> Option<MessageEntry> {
        let (direction, body, bytes) = match self.head.operation {
            Operation::FrameIn => ("send", &self.request, self.head.request_bytes),
            Operation::FrameOut => ("receive", &self.response, self.head.response_bytes),
            _ => return None,
        };
        let body = body.as_deref().unwrap_or_default();
        let (opcode, data) = if self.head.is_binary {
            (2, BASE64_STANDARD.encode(body))
        } else {
            (1, masks.body(body, is_cut(bytes)))
        };
        Some(MessageEntry { direction, time: self.head.at, opcode, data })
    }
}

fn pairs_of(headers: &Headers, masks: &Masks) -> Vec<Pair> {
    let masked =
        |(name, value): (&str, String)| Pair { name: name.to_owned(), value: masks.header(name, &value) };
    headers.iter().map(masked).collect()
}

fn media_type(headers: &Headers) -> String {
    headers.get("content-type").unwrap_or_default()
}

/// Returns a time as in ISO 8601, with the formatter that the storage needs for the same form.
fn date_time(unix: f64) -> String {
    let time = UNIX_EPOCH + Duration::try_from_secs_f64(unix).unwrap_or_default();
    let mut text = Vec::new();
    let written = Timestamp::from(time).format(TimestampFormat::DateTime, &mut text);
    written.ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_iso_8601() {
        let text = date_time(1_700_000_000.25);
        assert!(text.starts_with("2023-11-14T22:13:20.25") && text.ends_with('Z'), "{text}");
    }
}
