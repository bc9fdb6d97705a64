//! A server on a thread and a runtime of its own, until it is shut down.

use std::future::Future;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A server that can be used until it is shut down.
pub(crate) struct Hosted<T> {
    running: Mutex<Option<Running<T>>>,
    name: &'static str,
}

struct Running<T> {
    server: Arc<T>,
    runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

type Started<T> = Result<(Arc<T>, Handle), String>;

impl<T: Send + Sync + 'static> Hosted<T> {
    /// Starts a server with `begin`. `end` runs after the shutdown, once no call uses the server any more.
    pub(crate) fn start<Begun, Ended>(
        name: &'static str,
        begin: impl FnOnce() -> Begun + Send + 'static,
        end: impl FnOnce(T) -> Ended + Send + 'static,
    ) -> Result<(Self, Arc<T>), String>
    where
        Begun: Future<Output = Result<T, String>>,
        Ended: Future<Output = ()>,
    {
        let (tell, started) = mpsc::sync_channel::<Started<T>>(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("avtomatika-{name}"))
            .spawn(move || serve(begin, end, &tell, stopped))
            .map_err(|error| error.to_string())?;
        let (server, runtime) = started.recv().map_err(|error| error.to_string())??;
        let running = Running { server: server.clone(), runtime, stop, thread };
        Ok((Self { running: Mutex::new(Some(running)), name }, server))
    }

    /// The server, and the runtime it runs on.
    pub(crate) fn running(&self) -> PyResult<(Arc<T>, Handle)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let was_shut_down = || PyRuntimeError::new_err(format!("the {} was shut down", self.name));
        let running = running.as_ref().ok_or_else(was_shut_down)?;
        Ok((running.server.clone(), running.runtime.clone()))
    }

    /// Stops the server. Does nothing the second time.
    pub(crate) fn shutdown(&self, py: Python<'_>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { server, runtime: _, stop, thread }) = running {
            drop(server);
            let _ = stop.send(());
            py.detach(|| {
                let _ = thread.join();
            });
        }
    }
}

fn serve<T, Begun, Ended>(
    begin: impl FnOnce() -> Begun,
    end: impl FnOnce(T) -> Ended,
    tell: &SyncSender<Started<T>>,
    stopped: oneshot::Receiver<()>,
) where
    Begun: Future<Output = Result<T, String>>,
    Ended: Future<Output = ()>,
{
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = tell.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        let server = match begin().await {
            Ok(server) => Arc::new(server),
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        let _ = tell.send(Ok((server.clone(), Handle::current())));
        // An error means that `Hosted` was dropped without a shutdown: that stops the server, too.
        let _ = stopped.await;
        // While a call still uses the server, its end is not waited for.
        if let Some(server) = Arc::into_inner(server) {
            end(server).await;
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}
