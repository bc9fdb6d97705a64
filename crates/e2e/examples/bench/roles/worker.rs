//! The worker: one empty task.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use avtomatika_worker::config::OrchestratorEntry;
use avtomatika_worker::{Worker, WorkerBuilder, WorkerConfig, blocking, logging};
use tokio::sync::Notify;

use super::{TOKEN, WORKER_ID};
use crate::arguments::{Arguments, number};
use crate::measure::Stretch;

/// What the handler of the task does.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// Nothing.
    Async,
    /// Nothing, on a thread for blocking work.
    Blocking,
    /// Waits, so that many tasks run at once.
    Wait(Duration),
}

/// Counts the tasks; the stretch begins with the first and ends with the last.
#[derive(Debug)]
struct Counter {
    tasks: usize,
    started: AtomicUsize,
    stretch: OnceLock<Stretch>,
    all: Notify,
}

/// `worker URL[,URL…] SLOTS TASKS [--log off|warning|info-text|info-json] [--blocking] [--wait MILLISECONDS]
/// [--outbox DIRECTORY] [--registered N] [--set OPTION=VALUE]…`
///
/// Several addresses are used in turn. The log goes to standard error; `off`, the default, installs none.
pub(super) fn run(mut arguments: Arguments<'_>) -> Result<(), String> {
    let work = match (arguments.flag("--blocking"), arguments.number("--wait")?) {
        (true, _) => Work::Blocking,
        (false, None) => Work::Async,
        (false, Some(wait)) => Work::Wait(Duration::from_millis(wait as u64)),
    };
    let log = arguments.option("--log")?.unwrap_or("off");
    let registered = arguments.number("--registered")?.unwrap_or(1);
    let outbox = arguments.option("--outbox")?;
    let settings = arguments.options("--set")?;
    let [urls, slots, tasks] = arguments.words("URL SLOTS TASKS")?;

    let mut config = addresses(urls)?.max_concurrent_tasks(number(slots)?);
    let logged = match log {
        "off" => None,
        "warning" => Some(("warning", "text")),
        "info-text" => Some(("info", "text")),
        "info-json" => Some(("info", "json")),
        other => return Err(format!("`{other}` is no log")),
    };
    let log =
        logged.map(|(level, format)| ["LOG_LEVEL".to_owned() + "=" + level, format!("LOG_FORMAT={format}")]);
    let outbox = outbox.map(|directory| format!("WORKER_OUTBOX_DIR={directory}"));
    let given = settings.into_iter().map(str::to_owned);
    for setting in log.into_iter().flatten().chain(outbox).chain(given) {
        let (variable, value) = setting.split_once('=').ok_or("`--set` needs `OPTION=VALUE`")?;
        config.set(variable, value).map_err(|error| error.to_string())?;
    }
    let _log = logged.map(|_| logging::init(&config));
    serve(config, work, registered, number(tasks)?)
}

fn addresses(urls: &str) -> Result<WorkerConfig, String> {
    let mut config = WorkerConfig::defaults().worker_token(TOKEN);
    let urls = urls.split(',').map(|url| url.parse().map_err(|_| format!("`{url}` is not an address")));
    let mut urls = urls.collect::<Result<Vec<_>, _>>()?;
    if urls.len() == 1 {
        config = config.orchestrator_url(urls.pop());
    } else {
        config =
            config.orchestrators_config(urls.into_iter().map(OrchestratorEntry::new).collect::<Vec<_>>());
    }
    // The health server must not listen on other addresses, nor on a port that is in use.
    for (variable, value) in [
        ("WORKER_ID", WORKER_ID),
        ("MULTI_ORCHESTRATOR_MODE", "ROUND_ROBIN"),
        ("WORKER_HOST", "127.0.0.1"),
        ("WORKER_PORT", "0"),
    ] {
        config.set(variable, value).map_err(|error| error.to_string())?;
    }
    Ok(config)
}

fn serve(config: WorkerConfig, work: Work, registered: usize, tasks: usize) -> Result<(), String> {
    let counter = Arc::new(Counter {
        tasks,
        started: AtomicUsize::new(0),
        stretch: OnceLock::new(),
        all: Notify::new(),
    });
    let mut builder = with_task(Worker::builder().config(config), work, counter.clone());
    for number in 1..registered {
        builder = builder.task(format!("other-{number:05}"), || std::future::ready(()));
    }
    let worker = builder.build().map_err(|error| error.to_string())?;
    let stopped = super::runtime()?.block_on(worker.run_until(async move {
        counter.all.notified().await;
        if let Some(stretch) = counter.stretch.get() {
            stretch.end(tasks);
        }
    }));
    stopped.map(|_| ()).map_err(|error| error.to_string())
}

fn with_task<S: Clone + Send + Sync + 'static>(
    builder: WorkerBuilder<S>,
    work: Work,
    counter: Arc<Counter>,
) -> WorkerBuilder<S> {
    const NAME: &str = "nothing";
    match work {
        Work::Async => builder.task(NAME, move || {
            counter.count();
            std::future::ready(())
        }),
        Work::Blocking => builder.task(NAME, blocking(move || counter.count())),
        Work::Wait(time) => builder.task(NAME, move || {
            counter.count();
            tokio::time::sleep(time)
        }),
    }
}

impl Counter {
    fn count(&self) {
        self.stretch.get_or_init(Stretch::begin);
        if self.started.fetch_add(1, Ordering::Relaxed) + 1 == self.tasks {
            self.all.notify_one();
        }
    }
}
