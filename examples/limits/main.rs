//! Two limits: at most four tasks at once, but only one of the tasks that share the graphics card.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use std::future::pending;

use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The number of running tasks, and its maximum so far.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Gauge {
    async fn work(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.max.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

static CARD: Gauge = Gauge { now: AtomicUsize::new(0), max: AtomicUsize::new(0) };
static ALL: Gauge = Gauge { now: AtomicUsize::new(0), max: AtomicUsize::new(0) };

async fn draw() {
    tokio::join!(CARD.work(), ALL.work());
}

async fn count() {
    ALL.work().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let orchestrator = DevOrchestrator::start(Settings::new()).await?;
    let config = WorkerConfig::defaults().orchestrator_url(Some(orchestrator.url().parse()?));
    let worker = Worker::builder()
        .config(config)
        .max_concurrent_tasks(4)
        .limit("graphics_card", 1)
        .task_with("draw", TaskOptions::new().limit_group("graphics_card"), draw)
        .task("count", count)
        .build()?;
    let handle = worker.handle();
    let client = async {
        let result = submit_all(&orchestrator).await;
        handle.drain();
        result
    };
    let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
    stopped?;
    result?;
    println!("at once on the graphics card: at most {}", CARD.max.load(Ordering::SeqCst));
    println!("at once in total: at most {}", ALL.max.load(Ordering::SeqCst));
    Ok(())
}

async fn submit_all(orchestrator: &DevOrchestrator) -> Result<()> {
    let mut jobs = Vec::new();
    for number in 0..16 {
        let name = if number % 4 == 0 { "draw" } else { "count" };
        jobs.push(orchestrator.submit(NewTask::new(name))?.job_id);
    }
    for job in &jobs {
        orchestrator.wait(job).await?;
    }
    println!("{} tasks ended", jobs.len());
    Ok(())
}
