//! The upper bound: bare hyper connections, each of which polls, sends a result, and repeats this.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::measure::Stretch;

/// The number of connections: as many as a worker has pollers.
const MAX_CONNECTIONS: usize = 8;

const RESULT: &str = r#"{"job_id":"job-00000001","task_id":"task-00000001","worker_id":"bench","origin_worker_id":"bench","status":"success","costs":{"execution_time_seconds":0.0},"timestamp":1700000000,"nonce":"00000000000000000000000000000000","security":{"signature":"0000000000000000000000000000000000000000000000000000000000000000","signer_id":"bench"}}"#;

pub(crate) fn run(url: &str, slots: usize, tasks: usize) -> Result<(), String> {
    let address = url.strip_prefix("http://").ok_or("the address does not begin with `http://`")?.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async move {
        let left = Arc::new(AtomicUsize::new(tasks));
        let mut clients = JoinSet::new();
        let mut drivers = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..slots.min(MAX_CONNECTIONS) {
            senders.push(connect(&address, &mut drivers).await?);
        }
        let stretch = Stretch::begin();
        for sender in senders {
            clients.spawn(work(sender, address.clone(), left.clone()));
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

async fn work(
    mut sender: SendRequest<Full<Bytes>>,
    address: String,
    left: Arc<AtomicUsize>,
) -> Result<(), String> {
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let poll = "/_worker/workers/bench/tasks/next?timeout=30&available_skills=nothing&hot_skills=";
        exchange(&mut sender, &address, Method::GET, poll, Bytes::new()).await?;
        exchange(
            &mut sender,
            &address,
            Method::POST,
            "/_worker/tasks/result",
            Bytes::from_static(RESULT.as_bytes()),
        )
        .await?;
    }
    Ok(())
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    address: &str,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(), String> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address)
        .header("x-worker-token", "bench")
        .header("x-worker-id", "bench")
        .header("x-rxon-version", "1.0b17")
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    sender.ready().await.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    response.into_body().collect().await.map_err(|error| error.to_string())?;
    if status.is_success() { Ok(()) } else { Err(format!("{path} was answered with {status}")) }
}
