//! The workers that the server starts.

use std::time::Duration;

use avtomatika_dev::DevOrchestrator;
use futures_util::future::join_all;
use tokio::sync::watch::Receiver;

use super::worker::Worker;
use super::{Stop, variables};
use crate::args::Dev;
use crate::output::{Printer, Style};

/// The shutdown time of a worker without `WORKER_SHUTDOWN_TIMEOUT`.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// All workers.
#[derive(Debug)]
pub(super) struct Team<'a> {
    workers: Vec<Worker<'a>>,
    printer: &'a Printer,
}

impl<'a> Team<'a> {
    /// Describes the workers, and starts none.
    pub(super) fn new(
        dev: &'a Dev,
        orchestrator: &'a DevOrchestrator,
        own: &[(&'static str, String)],
        printer: &'a Printer,
    ) -> Self {
        let count = if dev.command.is_empty() { 0 } else { dev.workers.unwrap_or(1) };
        let ids = variables::ids(count, std::env::var("WORKER_ID").ok());
        let workers = ids.into_iter().map(|id| Worker {
            command: &dev.command,
            variables: variables::added(own, &id, dev.imitated.is_some(), |name| std::env::var_os(name)),
            // A worker ends by itself in its shutdown time; what is still there after it hangs.
            grace: shutdown_time(std::env::var("WORKER_SHUTDOWN_TIMEOUT").ok()) + Duration::from_secs(1),
            prefix: format!("{} ", printer.note_paint().apply(Style::Cyan, format_args!("[{id}]"))),
            id,
            orchestrator,
            printer,
        });
        Self { workers: workers.collect(), printer }
    }

    /// Says that the workers are ended, if there are some.
    pub(super) fn announce_end(&self) {
        if !self.workers.is_empty() {
            self.printer.note("ending the workers; a second Ctrl-C does not wait for them");
        }
    }

    /// Runs all workers until they are told to stop, and nothing of them is left.
    pub(super) async fn run(&self, changes: &Receiver<()>, stop: &Stop) {
        if self.workers.is_empty() {
            stop.terminate.cancelled().await;
        }
        join_all(self.workers.iter().map(|worker| worker.run(changes.clone(), stop))).await;
    }
}

fn shutdown_time(variable: Option<String>) -> Duration {
    let seconds = variable.and_then(|value| value.trim().parse().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(SHUTDOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shutdown_time_is_that_of_the_worker() {
        for (variable, seconds) in
            [(None, 25.0), (Some("0.5"), 0.5), (Some("soon"), 25.0), (Some("-1"), 25.0)]
        {
            let time = shutdown_time(variable.map(str::to_owned));
            assert_eq!(time, Duration::from_secs_f64(seconds), "{variable:?}");
        }
    }
}
