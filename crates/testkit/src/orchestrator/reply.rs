//! Scripted answers, written byte by byte.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::answer::{Answer, reason};
use crate::stream::{Stream, send};

/// The reason for which a connection ends; returned with `?` by the functions below.
pub(crate) enum End {
    /// The client has disconnected or is about to; nothing more is sent.
    Gone,
    /// FIN, after which the client may still send.
    Orderly,
    /// RST.
    Reset,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// Builds a JSON response in the buffer of the connection.
pub(crate) fn json_into(out: &mut Vec<u8>, status: u16, body: &[u8]) {
    out.clear();
    let _ = write!(
        out,
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        reason(status),
        body.len()
    );
    out.extend_from_slice(body);
}

/// Writes an answer that consists of bytes. Answers that wait or only close the connection are handled elsewhere.
pub(crate) async fn write(stream: &mut impl Stream, out: &mut Vec<u8>, answer: Answer) -> Result<(), End> {
    match answer {
        Answer::Json(status, body) => {
            json_into(out, status, body.to_string().as_bytes());
            send(stream, out).await?;
            Ok(())
        }
        Answer::Raw { status, headers, body } => {
            let closes = raw_into(out, status, &headers, &body);
            send(stream, out).await?;
            if closes { Err(End::Orderly) } else { Ok(()) }
        }
        Answer::Truncated { status, declared_length, body } => {
            head_into(out, status, declared_length);
            out.extend_from_slice(&body);
            send(stream, out).await?;
            Err(End::Orderly)
        }
        Answer::Dribble { status, body, chunk, every } => {
            head_into(out, status, body.len());
            send(stream, out).await?;
            dribble(stream, &body, chunk, every).await
        }
        Answer::Trickle { bytes, chunk, every } => dribble(stream, &bytes, chunk, every).await,
        Answer::Endless { status } => endless(stream, out, status).await,
        Answer::Bytes(bytes) => {
            send(stream, &bytes).await?;
            Err(End::Orderly)
        }
        other => unreachable!("{other:?} is not made of bytes"),
    }
}

fn head_into(out: &mut Vec<u8>, status: u16, length: usize) {
    out.clear();
    let reason = reason(status);
    let _ = write!(
        out,
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
}

/// Builds a raw response. Returns true if its headers close the connection.
fn raw_into(out: &mut Vec<u8>, status: u16, headers: &[(String, String)], body: &Bytes) -> bool {
    out.clear();
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
    let mut framed = matches!(status, 100..=199 | 204 | 304);
    let mut closes = false;
    for (name, value) in headers {
        let _ = write!(out, "{name}: {value}\r\n");
        framed |=
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
        closes |= name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close");
    }
    if !framed {
        let _ = write!(out, "content-length: {}\r\n", body.len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    closes
}

async fn dribble(stream: &mut impl Stream, body: &[u8], chunk: usize, every: Duration) -> Result<(), End> {
    for piece in body.chunks(chunk.max(1)) {
        send(stream, piece).await?;
        tokio::time::sleep(every).await;
    }
    Ok(())
}

async fn endless(stream: &mut impl Stream, out: &mut Vec<u8>, status: u16) -> Result<(), End> {
    const CHUNK: usize = 16 * 1024;
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        reason(status)
    );
    send(stream, head.as_bytes()).await?;
    out.clear();
    let _ = write!(out, "{CHUNK:x}\r\n");
    out.resize(out.len() + CHUNK, b' ');
    out.extend_from_slice(b"\r\n");
    loop {
        send(stream, out).await?;
    }
}
