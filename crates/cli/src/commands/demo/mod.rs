//! `demo`: an orchestrator, a worker and three tasks, in one process and with nothing else installed.

mod advice;
mod gallery;
mod resize_image;
mod show;

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use anyhow::{Context, anyhow};
use avtomatika_dev::{DevOrchestrator, Settings};
use avtomatika_worker::{Stopped, Worker, WorkerConfig, blocking};
use tokio::sync::oneshot;

use self::gallery::{Gallery, PICTURES, Picture};
use self::resize_image::resize_image;
use self::show::Show;
use crate::args::Demo;
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::signals::{Signal, Signals};

/// The name the task is registered under, and submitted with.
const TASK: &str = "resize_image";

/// How long a task that runs may still take when the demo is interrupted.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the demo.
pub(crate) fn run(demo: &Demo, printer: &Printer) -> Result<Exit, Failure> {
    let config = configuration(demo.verbose)?;
    // Without a log that somebody wants to see, nothing disturbs the bars.
    let _log = demo.verbose.then(|| avtomatika_worker::logging::init(&config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(play(demo, &PICTURES, config, printer))
}

/// The defaults: variables of a real worker, which the user's shell may have, have nothing to do with the demo.
fn configuration(verbose: bool) -> Result<WorkerConfig, Failure> {
    let mut config = WorkerConfig::defaults().worker_token("demo").worker_shutdown_timeout(GRACE);
    for name in ["LOG_LEVEL", "LOG_FORMAT"] {
        let value = std::env::var_os(name).filter(|value| verbose && !value.is_empty());
        if let Some(value) = value {
            config.set(name, &value.to_string_lossy()).map_err(Failure::usage)?;
        }
    }
    Ok(config)
}

async fn play(
    demo: &Demo,
    pictures: &[Picture],
    mut config: WorkerConfig,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let mut gallery = match &demo.output {
        Some(directory) => Gallery::at(directory)?,
        None => Gallery::temporary()?,
    };
    gallery.hang(pictures, demo.width)?;

    let orchestrator = DevOrchestrator::start(Settings::new()).await;
    let orchestrator = orchestrator.context("cannot start the development orchestrator on 127.0.0.1")?;
    config.set("ORCHESTRATOR_URL", &orchestrator.url())?;
    let show = Show::new(&orchestrator, printer);

    let worker = Worker::builder().config(config).task(TASK, blocking(resize_image)).build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = worker.run_until(async {
        // Dropped or used: both mean that it is to stop.
        let _ = stopped.await;
    });
    let mut worker = pin!(worker);
    let mut stage = Stage { signals: &mut signals, worker: worker.as_mut() };
    let result = perform(demo, pictures, show, &mut gallery, &mut stage).await;

    drop(stop);
    let ending = async {
        if !matches!(result, Err(Performance::WorkerEnded(_))) {
            let _ = worker.await;
        }
        orchestrator.shutdown().await;
    };
    tokio::select! {
        biased;
        // Whoever asks twice does not want to wait.
        _ = signals.next() => {}
        () = ending => {}
    }
    result
}
