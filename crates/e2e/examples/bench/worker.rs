//! The worker: one empty task.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use avtomatika_worker::{Worker, WorkerConfig, WorkerId};
use tokio::sync::Notify;

use crate::measure::Stretch;

pub(crate) fn run(url: &str, slots: usize, tasks: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let address = url.parse().map_err(|_| format!("`{url}` is not an address"))?;
    let config = WorkerConfig::defaults()
        .orchestrator_url(Some(address))
        .worker_id(WorkerId::new("bench").ok())
        .worker_token("bench")
        .max_concurrent_tasks(slots);
    let begun: Arc<OnceLock<Stretch>> = Arc::default();
    let (count, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let handler = {
        let (begun, count, all) = (begun.clone(), count.clone(), all.clone());
        move || {
            begun.get_or_init(Stretch::begin);
            if count.fetch_add(1, Ordering::Relaxed) + 1 == tasks {
                all.notify_one();
            }
            std::future::ready(())
        }
    };
    let worker = Worker::builder()
        .config(config)
        .task("nothing", handler)
        .build()
        .map_err(|error| error.to_string())?;
    let stopped = runtime.block_on(worker.run_until(async move {
        all.notified().await;
        if let Some(stretch) = begun.get() {
            stretch.end(tasks);
        }
    }));
    stopped.map(|_| ()).map_err(|error| error.to_string())
}
