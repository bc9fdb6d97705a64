//! The background of the demo: the worker, and the reception of signals.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use avtomatika_dev::DevOrchestrator;
use avtomatika_worker::{Error, Stopped, Worker, WorkerHandle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::signals::{Signal, Signals};

/// The time that everything has to end after a signal.
const HASTE: Duration = Duration::from_secs(1);

/// The worker and the signals. Dropping this ends the worker at once; [`close`](Self::close) waits for its end.
#[derive(Debug)]
pub(super) struct Stage {
    signals: Signals,
    /// The running worker, once it is started.
    worker: JoinSet<Result<Stopped, Error>>,
    /// Dropped to stop the worker.
    stop: Option<oneshot::Sender<()>>,
    /// Cancels the tasks of the worker.
    handle: Option<WorkerHandle>,
    /// Whether a signal has arrived.
    is_interrupted: bool,
}

impl Stage {
    /// Starts to listen for signals.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            signals: Signals::listen()?,
            worker: JoinSet::new(),
            stop: None,
            handle: None,
            is_interrupted: false,
        })
    }

    /// Starts the worker.
    pub(super) fn start(&mut self, worker: Worker) {
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        self.handle = Some(worker.handle());
        self.worker.spawn(worker.run_until(async {
            let _ = stopped.await;
        }));
    }

    /// Awaits `act`, or the first signal. Also fails if the worker ends meanwhile.
    pub(super) async fn during<T>(
        &mut self,
        act: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Result<T, Signal>> {
        tokio::select! {
            biased;
            signal = self.signals.next() => {
                self.is_interrupted = true;
                Ok(Err(signal))
            }
            done = act => done.map(Ok),
            Some(ended) = self.worker.join_next() => {
                ended.context("the worker panicked")?.context("the worker cannot run")?;
                Err(anyhow!("the worker ended before the demo did"))
            }
        }
    }

    /// Shuts down the worker first, so that its results arrive, and then the orchestrator. After a signal, tasks are
    /// cancelled, and a picture that is being encoded, which cannot be interrupted, is not waited for. A further signal
    /// ends both at once.
    pub(super) async fn close(mut self, orchestrator: DevOrchestrator) {
        if let Some(worker) = self.handle.filter(|_| self.is_interrupted) {
            worker.cancel();
        }
        self.stop = None;
        let ending = async {
            while self.worker.join_next().await.is_some() {}
            orchestrator.shutdown().await;
        };
        let patience = async {
            if self.is_interrupted {
                tokio::time::sleep(HASTE).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            _ = self.signals.next() => {}
            () = ending => {}
            () = patience => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use avtomatika_dev::{Event, NewTask, Settings};
    use avtomatika_worker::{WorkerConfig, blocking};

    use super::*;

    #[tokio::test]
    async fn a_handler_that_cannot_be_interrupted_is_not_waited_for_after_a_signal() {
        let orchestrator = DevOrchestrator::start(Settings::new()).await.expect("a free port");
        let mut feed = orchestrator.subscribe();
        let config =
            WorkerConfig::defaults().worker_token("any").option("ORCHESTRATOR_URL", &orchestrator.url());
        let encode = || std::thread::sleep(Duration::from_secs(600));
        let mut stage = Stage::new().expect("signals");
        stage.start(
            Worker::builder().config(config).task("encode", blocking(encode)).build().expect("a worker"),
        );
        orchestrator.submit(NewTask::new("encode")).expect("room");
        while !matches!(feed.next().await, Some(Event::TaskChanged { attempts: 1, .. })) {}
        stage.is_interrupted = true;
        let stopwatch = testkit::Stopwatch::start();
        stage.close(orchestrator).await;
        assert!(stopwatch.took().is_below(Duration::from_secs(4)), "{:?}", stopwatch.took());
    }
}
