//! One connection, whose requests are read, recorded and answered one after the other.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::normal::Normal;
use super::plan::Planned;
use super::recorded::Recorded;
use super::reply::{self, End};
use super::request::{self, Framing, RequestHead};
use super::shared::Shared;
use super::sockets;
use super::tasks::{Offer, Ticket};
use crate::stream::{Stream, close_in_order, reset_on_drop, send};

/// The size of a read from the socket.
const READ: usize = 8 * 1024;
/// The maximum length of a head; a longer one is not HTTP.
const MAX_HEAD: usize = 256 * 1024;

/// A connection and the bytes that have been read from it.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    /// Begins with the current request, which stays until it is answered.
    buffer: BytesMut,
    /// Reused for every response that is built.
    out: Vec<u8>,
    number: u64,
    orchestrator: Arc<Shared>,
}

/// The body of a request.
enum ReadBody {
    /// The bytes in the buffer after the head, up to this position.
    Until(usize),
    /// Decoded from chunks, which end at this position of the buffer.
    Decoded(Vec<u8>, usize),
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(stream: S, number: u64, orchestrator: Arc<Shared>) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(READ), out: Vec::new(), number, orchestrator }
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.serve_one().await {
                break end;
            }
        };
        match end {
            End::Gone => {}
            End::Orderly => close_in_order(&mut self.stream).await,
            End::Reset => reset_on_drop(self.stream.socket()),
        }
    }

    async fn serve_one(&mut self) -> Result<(), End> {
        let head = self.read_head().await?;
        let planned = self.orchestrator.plan.take(head.endpoint);
        if let Planned::Answer(early) = &planned
            && early.is_early()
        {
            return self.answer_early(&head, early).await;
        }
        let body = self.read_body(&head).await?;
        if head.endpoint == Endpoint::Result
            && let Some(watch) = self.orchestrator.watch.get()
        {
            (watch.on_result)(self.body(&head, &body));
        }
        let request = self.note(&head, &body, planned.needs_request());
        let answer = planned.decide(request.as_deref());
        self.answer(&head, &body, answer).await?;
        self.buffer.advance(body.end());
        if head.keep_alive { Ok(()) } else { Err(End::Orderly) }
    }

    /// Answers before the body is read.
    async fn answer_early(&mut self, head: &RequestHead, answer: &Answer) -> Result<(), End> {
        if let Answer::ResetWhileReading { after } = answer {
            let wanted = match head.framing {
                Framing::Length(length) => length.min(*after),
                Framing::Chunked => *after,
            };
            let read = self.fill(head.length + wanted).await;
            let end = self.buffer.len().min(head.length + wanted);
            self.note(head, &ReadBody::Until(end), false);
            return read.and(Err(End::Reset));
        }
        self.note(head, &ReadBody::Until(head.length), false);
        Err(End::Orderly)
    }

    /// Sends the answer. Answers that wait contain another answer, so this loops until one is sent.
    async fn answer(&mut self, head: &RequestHead, body: &ReadBody, mut answer: Answer) -> Result<(), End> {
        loop {
            answer = match answer {
                Answer::Normally => return self.answer_normally(head, body).await,
                Answer::Hold(wait, then) => {
                    self.unless_gone(tokio::time::sleep(wait)).await?;
                    *then
                }
                Answer::HoldUntil(gate, then) => {
                    self.unless_gone(gate.cancelled()).await?;
                    *then
                }
                Answer::Hang => self.unless_gone(std::future::pending()).await?,
                Answer::DeafWebSocket => {
                    self.upgrade(head).await?;
                    self.unless_gone(std::future::pending()).await?
                }
                Answer::ClosedWebSocket(code) => {
                    self.upgrade(head).await?;
                    sockets::close_at_once(&mut self.stream, code).await;
                    return Err(End::Orderly);
                }
                Answer::CloseBeforeReading | Answer::CloseAfterReading => return Err(End::Orderly),
                Answer::Reset | Answer::ResetWhileReading { .. } => return Err(End::Reset),
                scripted => return reply::write(&mut self.stream, &mut self.out, scripted).await,
            }
        }
    }

    async fn answer_normally(&mut self, head: &RequestHead, body: &ReadBody) -> Result<(), End> {
        let worker = head.worker.clone().map_or(&[][..], |range| &self.buffer[range]);
        match self.orchestrator.behaviour.answer(head.endpoint, worker, self.body(head, body)) {
            Normal::Ready(response) => send(&mut self.stream, &response).await?,
            Normal::Json(text) => self.write_json(text.as_bytes()).await?,
            Normal::Poll => self.answer_poll().await?,
            Normal::WebSocket => {
                self.upgrade(head).await?;
                let read_already = self.buffer[body.end()..].to_vec();
                let orchestrator = self.orchestrator.clone();
                orchestrator.sockets.serve(&mut self.stream, read_already).await;
                return Err(End::Orderly);
            }
        }
        Ok(())
    }

    /// Accepts a websocket.
    async fn upgrade(&mut self, head: &RequestHead) -> Result<(), End> {
        let request = request::record(&self.buffer[..head.length], head.endpoint, self.number, Bytes::new());
        let Some(key) = request.header("sec-websocket-key") else {
            send(&mut self.stream, self.orchestrator.behaviour.bad_request()).await?;
            return Err(End::Orderly);
        };
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\n\r\n"
        );
        Ok(send(&mut self.stream, response.as_bytes()).await?)
    }

    async fn answer_poll(&mut self) -> Result<(), End> {
        let hold = self.orchestrator.hold;
        let task = match self.orchestrator.tasks.next(Instant::now() + hold) {
            Offer::Task(task) => Some(task),
            Offer::Wait(mut ticket) => {
                let expired = self.wait_for_task(&mut ticket).await?;
                expired.or_else(|| ticket.finish())
            }
        };
        if let Some(task) = task {
            if let Some(watch) = self.orchestrator.watch.get() {
                (watch.on_task)(&task);
            }
            self.write_json(&task).await
        } else {
            let response = self.orchestrator.behaviour.no_task().clone();
            Ok(send(&mut self.stream, &response).await?)
        }
    }

    /// Waits for a task until the hold ends or the client disconnects.
    async fn wait_for_task(&mut self, ticket: &mut Ticket) -> Result<Option<Bytes>, End> {
        let hold = self.orchestrator.hold;
        let waiting = tokio::time::timeout(hold, ticket.task());
        Ok(self.unless_gone(waiting).await?.ok().flatten())
    }

    async fn write_json(&mut self, body: &[u8]) -> Result<(), End> {
        reply::json_into(&mut self.out, 200, body);
        Ok(send(&mut self.stream, &self.out).await?)
    }

    /// Counts the request, and returns it if it is recorded or `wanted`.
    fn note(&self, head: &RequestHead, body: &ReadBody, wanted: bool) -> Option<Arc<Recorded>> {
        let recording = self.orchestrator.record;
        let request = (recording || wanted).then(|| {
            let bytes = Bytes::copy_from_slice(self.body(head, body));
            Arc::new(request::record(&self.buffer[..head.length], head.endpoint, self.number, bytes))
        });
        self.orchestrator.ledger.note(head.endpoint, request.clone().filter(|_| recording));
        request
    }

    fn body<'a>(&'a self, head: &RequestHead, body: &'a ReadBody) -> &'a [u8] {
        match body {
            ReadBody::Until(end) => &self.buffer[head.length..*end],
            ReadBody::Decoded(bytes, _) => bytes,
        }
    }

    async fn read_head(&mut self) -> Result<RequestHead, End> {
        loop {
            if !self.buffer.is_empty() {
                match RequestHead::parse(&self.buffer) {
                    Ok(Some(head)) => return Ok(head),
                    Ok(None) if self.buffer.len() < MAX_HEAD => {}
                    Ok(None) | Err(_) => {
                        send(&mut self.stream, self.orchestrator.behaviour.bad_request()).await?;
                        return Err(End::Orderly);
                    }
                }
            }
            self.read().await?;
        }
    }

    async fn read_body(&mut self, head: &RequestHead) -> Result<ReadBody, End> {
        if head.expects_continue {
            send(&mut self.stream, b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match head.framing {
            Framing::Length(length) => {
                self.fill(head.length + length).await?;
                Ok(ReadBody::Until(head.length + length))
            }
            Framing::Chunked => self.read_chunks(head.length).await,
        }
    }

    async fn read_chunks(&mut self, start: usize) -> Result<ReadBody, End> {
        let mut decoded = Vec::new();
        let mut position = start;
        loop {
            match httparse::parse_chunk_size(&self.buffer[position..]) {
                Ok(httparse::Status::Complete((line, size))) => {
                    let data = position + line;
                    let end = data + size as usize;
                    // The line break after the data or after the last chunk; no client sends trailers here.
                    self.fill(end + 2).await?;
                    decoded.extend_from_slice(&self.buffer[data..end]);
                    position = end + 2;
                    if size == 0 {
                        return Ok(ReadBody::Decoded(decoded, position));
                    }
                }
                Ok(httparse::Status::Partial) => self.read().await?,
                Err(_) => return Err(End::Orderly),
            }
        }
    }

    /// Reads until the buffer has this many bytes.
    async fn fill(&mut self, length: usize) -> Result<(), End> {
        while self.buffer.len() < length {
            self.buffer.reserve(length - self.buffer.len());
            self.read().await?;
        }
        Ok(())
    }

    /// Reads the available bytes; the end of the stream ends the connection.
    async fn read(&mut self) -> Result<(), End> {
        if self.buffer.capacity() - self.buffer.len() < READ / 2 {
            self.buffer.reserve(READ);
        }
        if self.stream.read_buf(&mut self.buffer).await? == 0 { Err(End::Gone) } else { Ok(()) }
    }

    /// Waits for `done` and checks that the client is still connected. A client that closes only its sending side
    /// counts as gone: no client of this protocol does that.
    async fn unless_gone<T>(&mut self, done: impl Future<Output = T>) -> Result<T, End> {
        let watch = async {
            loop {
                if let Err(end) = self.read().await {
                    return end;
                }
            }
        };
        tokio::select! {
            biased;
            done = done => Ok(done),
            end = watch => Err(end),
        }
    }
}

impl ReadBody {
    /// The position in the buffer at the end of the request.
    fn end(&self) -> usize {
        match self {
            Self::Until(end) | Self::Decoded(_, end) => *end,
        }
    }
}
