//! Hooks that run before a worker registers and after it has drained.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::task::outcome::BoxError;
use crate::threads::hook::caught_async;

type StartupHook = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), BoxError>> + Send>;
type ShutdownHook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// The hooks of a worker.
#[derive(Default)]
pub(crate) struct Hooks {
    startup: Vec<StartupHook>,
    shutdown: Vec<ShutdownHook>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hooks({}, {})", self.startup.len(), self.shutdown.len())
    }
}

impl Hooks {
    pub(crate) fn add_startup<F, R, E>(&mut self, hook: F)
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.startup.push(Box::new(move || Box::pin(async move { hook().await.map_err(Into::into) })));
    }

    pub(crate) fn add_shutdown<F, R>(&mut self, hook: F)
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.shutdown.push(Box::new(move || Box::pin(async move { hook().await })));
    }

    /// Runs the start-up hooks in the order in which they were added, up to the first that fails.
    ///
    /// # Errors
    /// The error of the hook that failed, or its panic.
    pub(crate) async fn start_up(&mut self) -> Result<(), BoxError> {
        for hook in std::mem::take(&mut self.startup) {
            let ended = caught_async(hook).await;
            ended.unwrap_or_else(|message| Err(format!("it panicked: {message}").into()))?;
        }
        Ok(())
    }

    /// Runs the shutdown hooks in reverse order, all of them within the limit.
    pub(crate) async fn shut_down(&mut self, limit: Duration) {
        let all = async {
            for hook in std::mem::take(&mut self.shutdown).into_iter().rev() {
                if let Err(message) = caught_async(hook).await {
                    tracing::error!("a shutdown hook panicked: {message}");
                }
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::error!(?limit, "the shutdown hooks did not end in time and are dropped");
        }
    }
}
