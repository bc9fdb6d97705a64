//! The control path: a thread and a runtime of its own, so that no handler can delay a heartbeat.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Something that runs on the control path until it ends by itself.
pub(crate) type ControlTask = Pin<Box<dyn Future<Output = ()> + Send>>;

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
        let thread = std::thread::Builder::new().name("avtomatika-control".to_owned()).spawn(move || {
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
