//! The whole path: poll, task, result, of a task that does nothing.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use avtomatika_worker::{Worker, WorkerConfig, WorkerId};
use tokio::sync::Notify;

use crate::{Log, TOKEN, runtime};

/// Heartbeats cost what the time costs, not what tasks cost: there is none during the count.
const NEVER: Duration = Duration::from_secs(86_400);

pub(crate) fn run(url: &str, slots: usize, log: Log, tasks: usize) -> Result<(), String> {
    let address = url.parse().map_err(|_| format!("`{url}` is not an address"))?;
    let config = WorkerConfig::defaults()
        .orchestrator_url(Some(address))
        .worker_id(WorkerId::new("counted").ok())
        .worker_token(TOKEN)
        .heartbeat_interval(NEVER)
        .worker_heartbeat_debounce_delay(NEVER)
        .max_concurrent_tasks(slots);
    let (config, _log) = log.install(config);
    let (count, all) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let last = all.clone();
    let handler = Arc::new(move || {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == tasks {
            last.notify_one();
        }
    });
    let handler = move || {
        handler();
        ready(())
    };
    let worker = Worker::builder().config(config).task("nothing", handler).build();
    let worker = worker.map_err(|error| error.to_string())?;
    // The server has no further task, so the worker ends with exactly this many results.
    let stopped = runtime()?.block_on(worker.run_until(async move { all.notified().await }));
    stopped.map(drop).map_err(|error| error.to_string())
}
