//! Files whose change restarts workers.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod gitignore;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "linux")]
mod rules;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch::Sender;
use tokio::time::timeout;

#[cfg(not(target_os = "linux"))]
use self::elsewhere::Changes;
#[cfg(target_os = "linux")]
use self::inotify::Inotify as Changes;
use crate::exit::Failure;
use crate::output::Printer;

/// The time without a change after which a burst of changes is over.
const QUIET: Duration = Duration::from_millis(100);

/// The longest burst: a worker may write into what is watched without a pause.
const MAX_BURST: Duration = Duration::from_secs(1);

/// Watches files.
#[derive(Debug)]
pub(super) struct Watcher {
    changes: Changes,
    /// The directory to which paths are shown relative.
    current: PathBuf,
}

impl Watcher {
    /// Watches files, and everything below directories that is not ignored. `state` is the directory of the server's state,
    /// which changes all the time.
    pub(super) fn new(paths: &[PathBuf], state: Option<&Path>) -> Result<Self, Failure> {
        let current = std::env::current_dir().unwrap_or_default();
        Ok(Self { changes: Changes::new(paths, &current, state)?, current })
    }

    /// Announces every burst of changes.
    pub(super) async fn run(&mut self, announce: &Sender<()>, printer: &Printer) {
        loop {
            let first = match self.changes.next().await {
                Ok(path) => path,
                Err(error) => {
                    printer.warning(format_args!("files are no longer watched: {error}"));
                    return;
                }
            };
            // Further changes belong to the same burst. An error comes again in the next round.
            let burst = async { while let Ok(Ok(_)) = timeout(QUIET, self.changes.next()).await {} };
            let _ = timeout(MAX_BURST, burst).await;
            printer.note(format_args!("changed: {}, restarting", self.shown(&first).display()));
            announce.send_replace(());
        }
    }

    fn shown<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.current).unwrap_or(path)
    }
}
