//! `dev`: a development orchestrator with a local S3, and workers that are restarted when they end or their files change.

mod banner;
mod blueprints;
mod browser;
mod holder;
pub(super) mod lines;
mod logbook;
mod ports;
mod restarts;
pub(super) mod server;
mod state;
mod team;
pub(super) mod variables;
mod watch;
mod worker;

use std::convert::Infallible;
use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use avtomatika_dev::{Blueprint, S3Settings, Settings, State};
use avtomatika_worker::WorkerConfig;
use tokio::sync::watch::{Sender, channel as watch_channel};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::banner::Banner;
use self::ports::Ports;
use self::server::Server;
use self::team::Team;
use self::watch::Watcher;
use crate::args::Dev;
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::signals::{Signal, Signals};

/// The time between the first signal and the end of the server. The last lines on the terminal follow.
const END: Duration = Duration::from_millis(4_600);

/// The part of it that is the server's own: a worker that the system does not let die is left behind then.
const END_OF_SERVER: Duration = Duration::from_millis(200);

/// The time that everything has to end after a second signal.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Runs the server until a signal.
pub(crate) fn run(dev: &Dev, printer: &Printer) -> Result<Exit, Failure> {
    let _log =
        dev.verbose.then(configuration).transpose()?.map(|config| avtomatika_worker::logging::init(&config));
    // A terminal that takes nothing must not hold up the workers.
    let printer = &printer.in_background().context("cannot start a thread")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let exit = runtime.block_on(serve(dev, printer));
    // Nothing that still runs on a thread beside it is waited for.
    runtime.shutdown_background();
    exit
}

/// Returns the configuration of the log.
fn configuration() -> Result<WorkerConfig, Failure> {
    let mut config = WorkerConfig::defaults().worker_token("dev");
    for name in ["LOG_LEVEL", "LOG_FORMAT"] {
        if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            config.set(name, &value.to_string_lossy()).map_err(Failure::usage)?;
        }
    }
    Ok(config)
}

async fn serve(dev: &Dev, printer: &Printer) -> Result<Exit, Failure> {
    // From here on, a signal ends this in order.
    let mut signals = Signals::listen()?;
    // Wrong paths and files are named before anything is started.
    let blueprints = blueprints::read(&dev.blueprint)?;
    let watcher =
        if dev.watch.is_empty() { None } else { Some(Watcher::new(&dev.watch, dev.state.as_deref())?) };
    let ports = Ports::of(dev)?;
    let listener = ports.listen()?;
    let state = tokio::select! {
        biased;
        // Nothing was started yet. What is still read is left to its thread, which only reads.
        _ = signals.next() => return Ok(Exit::Success),
        state = state::open(dev.state.clone(), printer) => state?,
    };
    let token = token(dev, state.as_ref())?;
    let server = Server::start(listener, settings(dev, &ports, &token, blueprints, state.clone())?);
    let server = server.map_err(|error| ports.storage_failure(error))?;
    if !ports.is_loopback() {
        printer.warning(format_args!(
            "everybody who reaches {} can use this server: its page and its API ask for no password",
            server.orchestrator().address()
        ));
    }
    let banner = Banner::of(server.orchestrator(), &token, state.as_ref());
    if let Err(error) = banner.print(printer) {
        server.shutdown().await;
        return Err(error.into());
    }

    let team = Team::new(dev, server.orchestrator(), banner.variables(), printer);
    let beside = Beside { opens: dev.open, watcher, printer };
    let (until, signal) = attend(&banner, &team, beside, &mut signals).await;
    let later = tokio::select! {
        biased;
        signal = signals.next() => Some(signal),
        _ = tokio::time::timeout_at(until, server.shutdown()) => None,
    };
    Ok(signal.or(later).map_or(Exit::Success, Exit::Interrupted))
}

/// Runs the workers until the first signal, and ends them. Returns the time at which everything has to be over, and the
/// signal after the first, if there was one.
async fn attend(
    banner: &Banner,
    team: &Team<'_>,
    mut beside: Beside<'_>,
    signals: &mut Signals,
) -> (Instant, Option<Signal>) {
    let stop = Stop::default();
    let (announce, changes) = watch_channel(());
    let mut working = std::pin::pin!(team.run(&changes, &stop));
    tokio::select! {
        biased;
        _ = signals.next() => {}
        () = &mut working => {}
        never = beside.run(banner.page(), &announce) => match never {},
    }
    let until = Instant::now() + END;
    stop.terminate.cancel();
    team.announce_end();
    tokio::select! {
        biased;
        () = sleep_until(until - END_OF_SERVER) => (until, None),
        signal = signals.next() => {
            stop.kill.cancel();
            // A process that the system does not let die is left behind.
            let _ = tokio::time::timeout(AT_ONCE, &mut working).await;
            (Instant::now() + AT_ONCE, Some(signal))
        }
        () = &mut working => (until, None),
    }
}

/// What happens while the workers run.
struct Beside<'a> {
    /// Whether the page is opened.
    opens: bool,
    watcher: Option<Watcher>,
    printer: &'a Printer,
}

impl Beside<'_> {
    async fn run(&mut self, page: &str, announce: &Sender<()>) -> Infallible {
        let opening = async {
            if self.opens {
                browser::open(page, self.printer).await;
            }
        };
        let watching = async {
            if let Some(watcher) = &mut self.watcher {
                watcher.run(announce, self.printer).await;
            }
        };
        tokio::join!(opening, watching);
        std::future::pending().await
    }
}

/// The two ways in which workers are ended.
#[derive(Debug, Default)]
struct Stop {
    /// With SIGTERM first.
    terminate: CancellationToken,
    /// With SIGKILL at once.
    kill: CancellationToken,
}

/// Returns the token of the option, of the environment, of the state, or a random one.
fn token(dev: &Dev, state: Option<&State>) -> Result<String, Failure> {
    let given =
        dev.token.clone().or_else(|| std::env::var("WORKER_TOKEN").ok()).filter(|token| !token.is_empty());
    match given.or_else(|| Some(state?.token().to_owned())) {
        Some(token) => Ok(token),
        None => Ok(random()?),
    }
}

/// Returns 32 random hexadecimal digits.
pub(super) fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context("cannot read `/dev/urandom`")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

fn settings(
    dev: &Dev,
    ports: &Ports,
    token: &str,
    blueprints: Vec<Blueprint>,
    state: Option<State>,
) -> Result<Settings, Failure> {
    let mut settings = Settings::new().with_address(ports.address()).with_token(token);
    if let Some(version) = &dev.imitated {
        settings = settings.with_imitation(version.parse().map_err(Failure::usage)?);
    }
    for blueprint in blueprints {
        settings = settings.with_blueprint(blueprint);
    }
    for host in &dev.allow_host {
        settings = settings.with_allowed_host(host);
    }
    let storage = ports.storage_address().map(|address| S3Settings::new().with_address(address));
    settings = match (storage, &state) {
        // The keys of the state are used.
        (Some(storage), Some(_)) => settings.with_storage(storage),
        (Some(storage), None) => settings.with_storage(storage.with_keys(random()?, random()?)),
        (None, _) => settings.without_storage(),
    };
    Ok(match state {
        Some(state) => settings.with_state(state),
        None => settings,
    })
}
