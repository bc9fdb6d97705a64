//! The control path: its own thread with its own runtime, so that no handler can delay a heartbeat.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::threads::hook::caught_async;

/// A future that runs on the control path until it ends by itself.
pub(crate) type ControlTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The pause before a task that panicked is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Makes a task that is restarted if it panics: without the task the worker would live on and do nothing.
pub(crate) fn restarting<F>(name: &'static str, mut make: impl FnMut() -> F + Send + 'static) -> ControlTask
where
    F: Future<Output = ()> + Send,
{
    Box::pin(async move {
        loop {
            // The future is dropped with its unfinished work; shared state is only ever written whole.
            let Err(message) = caught_async(&mut make).await else { return };
            tracing::error!(task = name, "a task of the control path panicked: {message}; it is restarted");
            tokio::time::sleep(RESTART_DELAY).await;
        }
    })
}

/// The thread of the control path.
#[derive(Debug)]
pub(crate) struct ControlThread {
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl ControlThread {
    /// Starts the thread with these tasks. It ends when all of them have ended.
    pub(crate) fn start(tasks: Vec<ControlTask>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        // Its log lines go where the caller's go.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::Builder::new().name("avtomatika-control".to_owned()).spawn(move || {
            let _collected = tracing::dispatcher::set_default(&dispatch);
            runtime.block_on(async {
                let mut set = JoinSet::new();
                for task in tasks {
                    set.spawn(task);
                }
                while let Some(ended) = set.join_next().await {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task of the control path died");
                    }
                }
            });
            // A thread that resolves a name may still be busy: it is not waited for.
            runtime.shutdown_background();
            let _ = end.send(());
        })?;
        Ok(Self { ended, thread })
    }

    /// Waits until the thread has ended.
    pub(crate) async fn join(self) {
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_restarted_after_a_pause() {
        let began = Instant::now();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let task = restarting("test", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            assert!(run != 0, "boom while it is made");
            async move { assert!(run != 1, "boom while it runs") }
        });
        task.await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        assert!((2 * RESTART_DELAY..3 * RESTART_DELAY).contains(&began.elapsed()));
    }
}
