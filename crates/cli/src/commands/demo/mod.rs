//! `demo`: an orchestrator, a storage, a worker and three tasks in one process. It needs no other programs.

mod advice;
mod gallery;
mod resize_image;
mod show;
mod stage;
mod stock;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use avtomatika_dev::{DevOrchestrator, LocalS3, S3Settings, Settings, TaskStatus, TaskView};
use avtomatika_worker::{Worker, WorkerConfig, blocking};
use serde::Serialize;

use self::advice::Advice;
use self::gallery::{Gallery, PICTURES, Picture};
use self::resize_image::{TASK, resize_image};
use self::show::Show;
use self::stage::Stage;
use self::stock::{Delivery, Order};
use crate::args::Demo;
use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// The shutdown timeout of the worker. It is short because the worker waits this long for open polls; a task that is
/// still running then is cancelled.
const GRACE: Duration = Duration::from_millis(250);

/// Runs the demo.
pub(crate) fn run(demo: &Demo, printer: &Printer) -> Result<Exit, Failure> {
    let config = configuration(demo.verbose)?;
    // Without `--verbose` there is no log, which would disturb the bars.
    let _log = demo.verbose.then(|| avtomatika_worker::logging::init(&config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(play(demo, &PICTURES, config, printer))
}

/// Returns the defaults. The environment variables of a real worker, which the user's shell may have, do not affect the
/// demo.
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

/// Starts everything, runs the tasks, and ends everything.
async fn play(
    demo: &Demo,
    pictures: &[Picture],
    mut config: WorkerConfig,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut stage = Stage::new()?;
    let mut gallery = match &demo.output {
        Some(directory) => Gallery::at(directory)?,
        None => Gallery::temporary()?,
    };
    gallery.prepare(pictures, demo.width)?;
    // The files of the storage and of the worker, while the demo runs.
    let backstage = gallery::temporary("avtomatika-backstage-")?;

    let settings = Settings::new().with_storage(S3Settings::new().with_directory(backstage.path()));
    let orchestrator = DevOrchestrator::start(settings).await;
    let orchestrator = orchestrator.context("cannot start the development orchestrator on 127.0.0.1")?;
    config = config.task_files_dir(backstage.path().join("tasks"));
    config.set("ORCHESTRATOR_URL", &orchestrator.url())?;
    for (variable, value) in stock::storage(&orchestrator)?.variables() {
        config.set(variable, &value)?;
    }
    let mut show = Show::new(&orchestrator, printer);
    stage.start(Worker::builder().config(config).task(TASK, blocking(resize_image)).build()?);

    let result = perform(demo, pictures, &orchestrator, &mut gallery, &mut show, &mut stage).await;
    drop(show);
    stage.close(orchestrator).await;
    result
}

async fn perform(
    demo: &Demo,
    pictures: &[Picture],
    orchestrator: &DevOrchestrator,
    gallery: &mut Gallery,
    show: &mut Show<'_>,
    stage: &mut Stage,
) -> Result<Exit, Failure> {
    let printer = show.printer();
    let storage = stock::storage(orchestrator)?;
    let orders = stock::orders(storage, pictures, demo.width).await?;
    // A log would disturb the bars.
    let ended = match stage.during(show.run(&orders, !demo.verbose)).await? {
        Ok(ended) => ended,
        Err(signal) => {
            printer.note("Interrupted: ending the demo.");
            return Ok(Exit::Interrupted(signal));
        }
    };
    if ended.iter().any(|task| task.status == TaskStatus::Finished) {
        gallery.keep();
    }
    print_results(pictures, &ended, storage, gallery, printer).await?;
    if demo.keep {
        let first = orders.first().zip(ended.first());
        let first = first.map(|((_, order), ended)| (half_as_wide(order), &ended.job_id));
        for line in first.iter().flat_map(|(order, job_id)| Advice::new(show.url()).lines(order, job_id)) {
            printer.note(line);
        }
        for line in Advice::variables(&show.url(), storage) {
            printer.note(line);
        }
        // A signal is the normal end of this.
        let _ = stage.during(show.watch(gallery)).await?;
    }
    Ok(Exit::Success)
}

fn half_as_wide(order: &Order) -> Order {
    Order { width: (order.width / 2).max(1), ..order.clone() }
}

/// Fetches the results, and prints a line for each. Fails if a picture was not resized.
async fn print_results(
    pictures: &[Picture],
    ended: &[TaskView],
    storage: &LocalS3,
    gallery: &Gallery,
    printer: &Printer,
) -> Result<(), Failure> {
    let names = pictures.iter().map(|picture| picture.name.len()).max().unwrap_or_default();
    let mut failures = Vec::new();
    for (picture, task) in pictures.iter().zip(ended) {
        match Delivery::of(task)? {
            Some(delivery) => {
                let path = gallery.save(delivery.name(), &delivery.fetch(storage).await?)?;
                if printer.is_json() {
                    printer.json(&Resized::of(picture, &delivery, &path))?;
                } else {
                    printer.data(result_line(picture, &delivery, &path, names))?;
                }
            }
            None => failures.push(format!("{}: {}", picture.name, reason(task))),
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let (count, all) = (failures.len(), pictures.len());
    Err(anyhow!("{count} of {all} tasks failed: {}", failures.join("; ")).into())
}

/// A resized picture, for programs.
#[derive(Serialize)]
struct Resized<'a> {
    name: &'a str,
    path: &'a Path,
    width: u32,
    height: u32,
    bytes: u64,
}

impl<'a> Resized<'a> {
    fn of(picture: &Picture, delivery: &Delivery, path: &'a Path) -> Self {
        let Delivery { width, height, bytes, .. } = delivery;
        Self { name: picture.name, path, width: *width, height: *height, bytes: *bytes }
    }
}

fn result_line(picture: &Picture, delivery: &Delivery, path: &Path, names: usize) -> String {
    let (width, height) = picture.size;
    let Delivery { width: new_width, height: new_height, bytes, .. } = delivery;
    let (name, size, path) = (picture.name, kibibytes(*bytes), path.display());
    format!("{name:names$}  {width}x{height} -> {new_width}x{new_height}  {size:>10}  {path}")
}

fn kibibytes(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

fn reason(task: &TaskView) -> String {
    match &task.error {
        Some(error) => format!("{}: {}", error.code, error.message),
        None => format!("the task is {}", task.status),
    }
}

#[cfg(test)]
mod tests;
