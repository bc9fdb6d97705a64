//! The worker: one empty task.

use std::io::BufRead;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use avtomatika_worker::config::OrchestratorEntry;
use avtomatika_worker::{Worker, WorkerBuilder, WorkerConfig, blocking, logging};

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

/// The stretch, which begins with the first task.
type Begun = Arc<OnceLock<Stretch>>;

/// `worker URL[,URL…] SLOTS TASKS [--log off|warning|info-text|info-json] [--blocking] [--wait MILLISECONDS]
/// [--outbox DIRECTORY] [--registered N] [--set OPTION=VALUE]…`
///
/// Ends at a line of standard input, which says that the server has all results, and prints the figures of so many tasks.
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
    let begun = Begun::default();
    let mut builder = with_task(Worker::builder().config(config), work, begun.clone());
    for number in 1..registered {
        builder = builder.task(format!("other-{number:05}"), || std::future::ready(()));
    }
    let worker = builder.build().map_err(|error| error.to_string())?;
    let stopped = super::runtime()?.block_on(worker.run_until(async move {
        let told = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new()));
        // Closed, it says nothing.
        if let (Ok(Ok(1..)), Some(stretch)) = (told.await, begun.get()) {
            stretch.end(tasks);
        }
    }));
    stopped.map(|_| ()).map_err(|error| error.to_string())
}

fn with_task<S: Clone + Send + Sync + 'static>(
    builder: WorkerBuilder<S>,
    work: Work,
    begun: Begun,
) -> WorkerBuilder<S> {
    const NAME: &str = "nothing";
    match work {
        Work::Async => builder.task(NAME, move || {
            begun.get_or_init(Stretch::begin);
            std::future::ready(())
        }),
        Work::Blocking => builder.task(
            NAME,
            blocking(move || {
                begun.get_or_init(Stretch::begin);
            }),
        ),
        Work::Wait(time) => builder.task(NAME, move || {
            begun.get_or_init(Stretch::begin);
            tokio::time::sleep(time)
        }),
    }
}
