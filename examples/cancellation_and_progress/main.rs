//! Tasks that send their progress, and end when they are cancelled.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::time::Duration;

use std::future::pending;

use avtomatika_dev::TaskStatus;
use avtomatika_dev::{DevOrchestrator, NewTask, Settings};
use avtomatika_worker::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Prints a line when a handler ends, in whatever way.
struct CleanUp(&'static str);

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("{}: cleaned up", self.0);
    }
}

/// An async handler. Cancelling it drops it at an `await`, with its local variables.
async fn walk(context: TaskContext) {
    let _clean_up = CleanUp("walk");
    for step in 1..=1000 {
        context.send_progress(f64::from(step) / 1000.0, format!("step {step}"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A blocking handler. It has to check by itself whether it is cancelled.
#[expect(clippy::needless_pass_by_value, reason = "handlers own their arguments")]
fn compute(context: TaskContext) {
    let _clean_up = CleanUp("compute");
    for round in 1..=1000 {
        if context.is_cancelled() {
            return;
        }
        context.send_progress(f64::from(round) / 1000.0, format!("round {round}"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let orchestrator = DevOrchestrator::start(Settings::new()).await?;
    let config = WorkerConfig::defaults()
        .orchestrator_url(Some(orchestrator.url().parse()?))
        // The development orchestrator requests cancellations in its answers to heartbeats.
        .heartbeat_interval(Duration::from_millis(200));
    let worker =
        Worker::builder().config(config).task("walk", walk).task("compute", blocking(compute)).build()?;
    let handle = worker.handle();
    let client = async {
        let result = lead(&orchestrator).await;
        handle.drain();
        result
    };
    let (stopped, result) = tokio::join!(worker.run_until(pending()), client);
    stopped?;
    result
}

async fn lead(orchestrator: &DevOrchestrator) -> Result<()> {
    for name in ["walk", "compute"] {
        let job = orchestrator.submit(NewTask::new(name))?.job_id;
        while orchestrator.task(&job).and_then(|task| task.progress).is_none_or(|progress| progress < 0.005) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let message = orchestrator.task(&job).and_then(|task| task.progress_message).unwrap_or_default();
        println!("{name}: cancelled after `{}`", message.split(' ').next().unwrap_or_default());
        orchestrator.cancel(&job)?;
        let ended = orchestrator.wait(&job).await?;
        assert_eq!(ended.status, TaskStatus::Cancelled);
        println!("{name}: ended as {}", ended.status.as_str());
    }
    Ok(())
}
