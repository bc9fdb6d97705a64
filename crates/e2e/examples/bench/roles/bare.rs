//! The limits: bare hyper connections, each of which polls, sends a result, and repeats this.
//!
//! The *plain* client sends the same result each time, and does not look at the task. The *fair* one also does what no
//! worker can do without: it reads the task, and sends a result that has the ids of the task and, to an orchestrator of
//! the newer generation, which checks it, is signed.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::server::Generation;
use super::{TOKEN, WORKER_ID};
use crate::arguments::{Arguments, number};
use crate::measure::Stretch;

/// The number of connections: as many as a worker has pollers.
const MAX_CONNECTIONS: usize = 8;

/// The client of one connection.
#[derive(Debug, Clone)]
struct Client {
    address: String,
    generation: Generation,
    /// The key of a fair client's signatures.
    fair: Option<Hmac<Sha256>>,
    left: Arc<AtomicUsize>,
}

/// What the fair client reads of a task.
#[derive(Deserialize)]
struct Given<'a> {
    job_id: &'a str,
    task_id: &'a str,
    #[serde(rename = "type")]
    name: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
}

/// `bare|fair URL SLOTS TASKS [--generation older|newer]`
pub(super) fn run(mut arguments: Arguments<'_>, is_fair: bool) -> Result<(), String> {
    let generation = Generation::take(&mut arguments)?;
    let [url, slots, tasks] = arguments.words("URL SLOTS TASKS")?;
    let (slots, tasks) = (number(slots)?, number(tasks)?);
    let client = Client {
        address: url.strip_prefix("http://").ok_or("the address does not begin with `http://`")?.to_owned(),
        generation,
        fair: is_fair.then(key),
        left: Arc::new(AtomicUsize::new(tasks)),
    };
    super::runtime()?.block_on(async move {
        let mut clients = JoinSet::new();
        let mut drivers = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..slots.min(MAX_CONNECTIONS) {
            senders.push(connect(&client.address, &mut drivers).await?);
        }
        let stretch = Stretch::begin();
        for sender in senders {
            clients.spawn(client.clone().work(sender));
        }
        while let Some(ended) = clients.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        stretch.end(tasks);
        Ok(())
    })
}

async fn connect(address: &str, drivers: &mut JoinSet<()>) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    drivers.spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

impl Client {
    async fn work(self, mut sender: SendRequest<Full<Bytes>>) -> Result<(), String> {
        let plain = result(self.generation, &key(), "job-00000001", "task-00000001")?;
        let (poll, answer) = (self.poll()?, self.answer()?);
        let take = |left: usize| left.checked_sub(1);
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let task = exchange(&mut sender, &poll, Bytes::new()).await?;
            let result = match &self.fair {
                Some(key) => self.fair_result(&task, key)?,
                None => plain.clone(),
            };
            exchange(&mut sender, &answer, result).await?;
        }
        Ok(())
    }

    fn fair_result(&self, task: &[u8], key: &Hmac<Sha256>) -> Result<Bytes, String> {
        let task: Given<'_> = serde_json::from_slice(task).map_err(|error| error.to_string())?;
        // A handler would be chosen by the name, and be given the parameters.
        black_box((task.name, task.params.to_owned()));
        result(self.generation, key, task.job_id, task.task_id)
    }

    /// What all polls have in common.
    fn poll(&self) -> Result<Prepared, String> {
        let path = match self.generation {
            Generation::Older => "/_worker/workers/bench/tasks/next",
            Generation::Newer => {
                "/_worker/workers/bench/tasks/next?timeout=30&available_skills=nothing&hot_skills="
            }
        };
        Ok(Prepared { method: Method::GET, uri: Uri::from_static(path), headers: self.headers()? })
    }

    /// What all results have in common.
    fn answer(&self) -> Result<Prepared, String> {
        let mut headers = self.headers()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Prepared { method: Method::POST, uri: Uri::from_static("/_worker/tasks/result"), headers })
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.address.parse().map_err(|_| "the address is no header".to_owned())?);
        let mut add = |name, value| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        add("x-worker-token", TOKEN);
        match self.generation {
            Generation::Older => add("x-rxon-version", "1.0b2"),
            Generation::Newer => {
                add("x-worker-id", WORKER_ID);
                add("x-rxon-version", "1.0b17");
            }
        }
        Ok(headers)
    }
}

/// A request but for its body: made once, as this client is a limit.
struct Prepared {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    prepared: &Prepared,
    body: Bytes,
) -> Result<Bytes, String> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = prepared.method.clone();
    *request.uri_mut() = prepared.uri.clone();
    request.headers_mut().clone_from(&prepared.headers);
    sender.ready().await.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if status.is_success() { Ok(body) } else { Err(format!("{} was answered with {status}", prepared.uri)) }
}

fn key() -> Hmac<Sha256> {
    Hmac::new_from_slice(TOKEN.as_bytes()).expect("HMAC takes keys of any length")
}

/// The result of a task. It is written in its canonical form at once: this client has no data that would have to be
/// brought into it.
fn result(generation: Generation, key: &Hmac<Sha256>, job_id: &str, task_id: &str) -> Result<Bytes, String> {
    let mut text = Vec::with_capacity(512);
    if generation == Generation::Older {
        write!(
            text,
            r#"{{"job_id":"{job_id}","task_id":"{task_id}","worker_id":"{WORKER_ID}","status":"success"}}"#
        )
        .map_err(|error| error.to_string())?;
        return Ok(text.into());
    }
    let nonce = fastrand::u128(..);
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    write!(
        text,
        r#"{{"costs":{{"execution_time_seconds":0}},"job_id":"{job_id}","nonce":"{nonce:032x}","origin_worker_id":"{WORKER_ID}","status":"success","task_id":"{task_id}","timestamp":{timestamp},"worker_id":"{WORKER_ID}"}}"#
    )
    .map_err(|error| error.to_string())?;
    let mut mac = key.clone();
    mac.update(&text);
    text.pop();
    text.extend_from_slice(br#","security":{"signature":""#);
    for byte in mac.finalize().into_bytes() {
        text.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
        text.push(b"0123456789abcdef"[usize::from(byte & 15)]);
    }
    write!(text, r#"","signer_id":"{WORKER_ID}"}}}}"#).map_err(|error| error.to_string())?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_the_fair_client_are_those_of_the_task_and_signed() {
        let task = super::super::server::task(7);
        let client =
            |generation| Client { address: String::new(), generation, fair: None, left: Arc::default() };
        let newer = client(Generation::Newer).fair_result(task.as_bytes(), &key()).unwrap();
        let older = client(Generation::Older).fair_result(task.as_bytes(), &key()).unwrap();
        for result in [&newer, &older] {
            let result: serde_json::Value = serde_json::from_slice(result).unwrap();
            assert_eq!(result["job_id"], "job-00000007");
            assert_eq!(result["task_id"], "task-00000007");
        }
        let result: serde_json::Value = serde_json::from_slice(&newer).unwrap();
        let signature = result["security"]["signature"].as_str().unwrap();
        assert!(rxon::signing::Signer::new(TOKEN).verify(&newer, &[], signature));
    }
}
