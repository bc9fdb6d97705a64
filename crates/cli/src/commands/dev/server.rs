//! The orchestrator, on a thread of its own: a terminal that does not take output, or a large tree of files, must not
//! delay its answers.

use std::io;
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Settings};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The time that what runs on other threads has when the orchestrator has ended.
const BESIDE: Duration = Duration::from_millis(100);

/// The running orchestrator. Dropping it ends it without waiting.
#[derive(Debug)]
pub(in crate::commands) struct Server {
    orchestrator: DevOrchestrator,
    /// Dropped to end the thread.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts the orchestrator.
    pub(in crate::commands) fn start(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let orchestrator = match start_on(&runtime, listener, settings) {
            Ok(orchestrator) => orchestrator,
            Err(error) => {
                // Inside of another runtime, one must not be dropped.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("orchestrator".to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
            // What runs on threads beside it, such as reading a large request, is waited for shortly.
            runtime.shutdown_timeout(BESIDE);
        })?;
        Ok(Self { orchestrator, stop, thread })
    }

    /// The orchestrator.
    pub(in crate::commands) fn orchestrator(&self) -> &DevOrchestrator {
        &self.orchestrator
    }

    /// Shuts the orchestrator down, and ends its thread.
    pub(in crate::commands) async fn shutdown(self) {
        self.orchestrator.shutdown().await;
        drop(self.stop);
        // The runtime has nothing left to do, or ends shortly without.
        let _ = self.thread.join();
    }
}

/// Starts the orchestrator on a runtime; what it spawns runs on the thread of that runtime.
fn start_on(runtime: &Runtime, listener: TcpListener, settings: Settings) -> io::Result<DevOrchestrator> {
    let _inside = runtime.enter();
    DevOrchestrator::start_on(tokio::net::TcpListener::from_std(listener)?, settings)
}
