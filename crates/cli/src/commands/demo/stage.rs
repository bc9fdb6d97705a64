//! The background of the demo: the worker, and the reception of signals.

use std::future::Future;

use anyhow::{Context, anyhow};
use avtomatika_dev::DevOrchestrator;
use avtomatika_worker::{Error, Stopped, Worker};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::signals::{Signal, Signals};

/// The worker and the signals. Dropping this ends the worker at once; [`close`](Self::close) waits for its end.
#[derive(Debug)]
pub(super) struct Stage {
    signals: Signals,
    /// The running worker, once it is started.
    worker: JoinSet<Result<Stopped, Error>>,
    /// Dropped to stop the worker.
    stop: Option<oneshot::Sender<()>>,
}

impl Stage {
    /// Starts to listen for signals.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { signals: Signals::listen()?, worker: JoinSet::new(), stop: None })
    }

    /// Starts the worker.
    pub(super) fn start(&mut self, worker: Worker) {
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
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
            signal = self.signals.next() => Ok(Err(signal)),
            done = act => done.map(Ok),
            Some(ended) = self.worker.join_next() => {
                ended.context("the worker panicked")?.context("the worker cannot run")?;
                Err(anyhow!("the worker ended before the demo did"))
            }
        }
    }

    /// Shuts down the worker first, so that its results arrive, and then the orchestrator. A further signal ends both
    /// at once.
    pub(super) async fn close(mut self, orchestrator: DevOrchestrator) {
        self.stop = None;
        let ending = async {
            while self.worker.join_next().await.is_some() {}
            orchestrator.shutdown().await;
        };
        tokio::select! {
            biased;
            _ = self.signals.next() => {}
            () = ending => {}
        }
    }
}
