//! `dev`: a development orchestrator with a local S3, and workers that are restarted when they end or their files change.

mod banner;
mod browser;
mod holder;
pub(super) mod lines;
mod logbook;
mod ports;
mod restarts;
pub(super) mod server;
mod team;
pub(super) mod variables;
mod watch;
mod worker;

use std::convert::Infallible;
use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use avtomatika_dev::{S3Settings, Settings};
use avtomatika_worker::WorkerConfig;
use tokio::sync::watch::{Sender, channel as watch_channel};
use tokio::time::Instant;
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

/// The time between the first signal and the end of this process.
const END: Duration = Duration::from_millis(4_700);

/// The time that everything has to end after a second signal.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Runs the server until a signal.
pub(crate) fn run(dev: &Dev, printer: &Printer) -> Result<Exit, Failure> {
    let _log =
        dev.verbose.then(configuration).transpose()?.map(|config| avtomatika_worker::logging::init(&config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(dev, printer))
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
    // Wrong paths are named before anything is started.
    let watcher = if dev.watch.is_empty() { None } else { Some(Watcher::new(&dev.watch)?) };
    let token = token(dev)?;
    let ports = Ports::of(dev)?;
    let listener = ports.listen()?;
    let server = Server::start(listener, settings(dev, &ports, &token)?);
    let server = server.map_err(|error| ports.storage_failure(error))?;
    if !ports.is_loopback() {
        printer.warning(format_args!(
            "everybody who reaches {} can use this server: its page and its API ask for no password",
            server.orchestrator().address()
        ));
    }
    let banner = Banner::of(server.orchestrator(), &token);
    banner.print(printer)?;

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

/// Returns the token of the option, of the environment, or a random one.
fn token(dev: &Dev) -> Result<String, Failure> {
    let given =
        dev.token.clone().or_else(|| std::env::var("WORKER_TOKEN").ok()).filter(|token| !token.is_empty());
    match given {
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

fn settings(dev: &Dev, ports: &Ports, token: &str) -> Result<Settings, Failure> {
    let mut settings = Settings::new().with_address(ports.address()).with_token(token);
    for host in &dev.allow_host {
        settings = settings.with_allowed_host(host);
    }
    Ok(match ports.storage_address() {
        Some(address) => {
            let keys = S3Settings::new().with_address(address).with_keys(random()?, random()?);
            settings.with_storage(keys)
        }
        None => settings.without_storage(),
    })
}
