//! The control path: a thread and a runtime of its own, so that no handler can delay a heartbeat.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::threads::panic_message;

/// Something that runs on the control path until it ends by itself.
pub(crate) type ControlTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long a task that panicked stays down.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// A task that is made anew and goes on when it panics: without it, the worker would live on and do nothing.
pub(crate) fn restarting<F>(name: &'static str, mut make: impl FnMut() -> F + Send + 'static) -> ControlTask
where
    F: Future<Output = ()> + Send,
{
    Box::pin(async move {
        loop {
            // What was left half done is thrown away with the future; what it shares is only ever written whole.
            let run = AssertUnwindSafe(async { make().await });
            let Err(payload) = run.catch_unwind().await else { return };
            tracing::error!(
                task = name,
                "a task of the control path panicked: {}; it begins anew",
                panic_message(&*payload)
            );
            tokio::time::sleep(RESTART_DELAY).await;
        }
    })
}

/// The thread.
#[derive(Debug)]
pub(crate) struct ControlThread {
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl ControlThread {
    /// Starts it with these tasks. It ends when all of them have.
    pub(crate) fn start(tasks: Vec<ControlTask>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        // Whoever collects the caller's log lines gets these too.
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
            // A resolver's thread may still be busy: nobody waits for it.
            runtime.shutdown_background();
            let _ = end.send(());
        })?;
        Ok(Self { ended, thread })
    }

    /// Waits until it has ended.
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
    async fn a_task_that_panics_begins_anew_after_a_pause() {
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
