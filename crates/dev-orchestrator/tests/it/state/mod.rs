//! A state that outlives its orchestrator. That it outlives a killed process is tested with the command line.

mod directory;
mod restarts;
mod steps;
mod storage;
mod tasks;

use std::path::PathBuf;
use std::time::Duration;

use avtomatika_dev::{DevOrchestrator, Settings, State};
use tempfile::TempDir;

/// A directory for a state, which does not exist at first.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { path: folder.path().join("below/state"), _folder: folder }
    }

    fn open(&self) -> State {
        State::open(&self.path).expect("it opens")
    }

    /// Opens it, and returns the reason why what was in it could not be read.
    fn reason(&self) -> String {
        let state = self.open();
        let aside = state.set_aside().expect("it could not be read");
        assert!(aside.path.starts_with(&self.path), "{aside:?}");
        aside.reason.clone()
    }

    async fn start(&self) -> DevOrchestrator {
        self.start_with(Settings::new()).await
    }

    async fn start_with(&self, settings: Settings) -> DevOrchestrator {
        // Retries do not rest, so that a task that goes back to the queue can be polled for at once.
        let settings = settings.with_state(self.open()).with_retry_delay(Duration::ZERO);
        DevOrchestrator::start(settings).await.expect("a free port")
    }
}
