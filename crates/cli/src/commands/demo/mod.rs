//! `demo`: an orchestrator, a worker and three tasks, in one process and with nothing else installed.

mod advice;
mod gallery;
mod resize_image;
mod show;
mod stage;

use std::time::Duration;

use anyhow::{Context, anyhow};
use avtomatika_dev::{DevOrchestrator, Settings, TaskStatus, TaskView};
use avtomatika_worker::{Worker, WorkerConfig, blocking};

use self::advice::Advice;
use self::gallery::{Gallery, PICTURES, Picture};
use self::resize_image::{Resized, resize_image};
use self::show::Show;
use self::stage::Stage;
use crate::args::Demo;
use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// The name the task is registered under, and submitted with.
const TASK: &str = "resize_image";

/// How long the worker may take to end. It waits so long for polls that are open, which is why it is short; a task that
/// runs still then is told to stop.
const GRACE: Duration = Duration::from_millis(250);

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

/// Starts everything, performs, and ends everything.
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
    gallery.hang(pictures, demo.width)?;

    let orchestrator = DevOrchestrator::start(Settings::new()).await;
    let orchestrator = orchestrator.context("cannot start the development orchestrator on 127.0.0.1")?;
    config.set("ORCHESTRATOR_URL", &orchestrator.url())?;
    let mut show = Show::new(&orchestrator, printer);
    stage.start(Worker::builder().config(config).task(TASK, blocking(resize_image)).build()?);

    let result = perform(demo, pictures, &mut gallery, &mut show, &mut stage).await;
    drop(show);
    stage.close(orchestrator).await;
    result
}

async fn perform(
    demo: &Demo,
    pictures: &[Picture],
    gallery: &mut Gallery,
    show: &mut Show<'_>,
    stage: &mut Stage,
) -> Result<Exit, Failure> {
    let printer = show.printer();
    let tasks: Vec<_> =
        pictures.iter().map(|picture| (picture.name, gallery.task(picture, demo.width))).collect();
    // A log would go right through the bars.
    let ended = match stage.during(show.run(&tasks, !demo.verbose)).await? {
        Ok(ended) => ended,
        Err(signal) => {
            printer.note("Interrupted: the demo ends.");
            return Ok(Exit::Interrupted(signal));
        }
    };
    if ended.iter().any(|task| task.status == TaskStatus::Finished) {
        gallery.keep();
    }
    print_results(pictures, &ended, printer)?;
    if demo.keep {
        let task = tasks.first().zip(ended.first());
        let task = task.map(|((_, resize), ended)| (gallery.variant(resize), &ended.job_id));
        for line in task.iter().flat_map(|(resize, job_id)| Advice::new(show.url()).lines(resize, job_id)) {
            printer.note(line);
        }
        // Any signal is how this is meant to end.
        let _ = stage.during(show.watch()).await?;
    }
    Ok(Exit::Success)
}

/// Prints what became of the pictures. Fails when one of them was not resized.
fn print_results(pictures: &[Picture], ended: &[TaskView], printer: &Printer) -> Result<(), Failure> {
    let names = pictures.iter().map(|picture| picture.name.len()).max().unwrap_or_default();
    let mut failures = Vec::new();
    for (picture, task) in pictures.iter().zip(ended) {
        let data = task.data_as::<Resized>().context("the worker's data is not what was expected")?;
        match data.filter(|_| task.status == TaskStatus::Finished) {
            Some(resized) => printer.data(result_line(picture, &resized, names))?,
            None => failures.push(format!("{}: {}", picture.name, reason(task))),
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let (count, all) = (failures.len(), pictures.len());
    Err(anyhow!("{count} of {all} tasks failed: {}", failures.join("; ")).into())
}

fn result_line(picture: &Picture, resized: &Resized, names: usize) -> String {
    let (width, height) = picture.size;
    let Resized { path, width: new_width, height: new_height, bytes } = resized;
    let (name, size, path) = (picture.name, kibibytes(*bytes), path.display());
    format!("{name:names$}  {width}x{height} -> {new_width}x{new_height}  {size:>10}  {path}")
}

fn kibibytes(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

fn reason(task: &TaskView) -> String {
    match &task.error {
        Some(error) => format!("{}: {}", error.code, error.message),
        None => format!("it is {}", task.status),
    }
}

#[cfg(test)]
mod tests;
