//! A task's directory in async code, and its removal.

use std::sync::Arc;

use rxon::TaskId;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::error::{FileError, FileErrorKind};
use super::workspace::Workspace;
use super::workspace::root::{Made, Root};
use crate::threads::with_log_context;

/// A task's directory. Work on it runs on the runtime's threads for blocking work. The directory is removed on drop, if
/// it still exists.
#[derive(Debug)]
pub(super) struct TaskDirectory {
    pub(super) workspace: Arc<Workspace>,
    pub(super) runtime: Handle,
    /// Clean-up that outlives tasks.
    clean_up: TaskTracker,
}

/// Keeps a task's directory while its result may be needed: the directory is removed when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryGuard(
    #[expect(dead_code, reason = "its drop removes the directory")] Arc<RemoveOnDrop>,
);

#[derive(Debug)]
struct RemoveOnDrop(Arc<TaskDirectory>);

impl TaskDirectory {
    /// The runtime runs the work on the directory.
    pub(super) fn new(root: Arc<Root>, task_id: TaskId, runtime: Handle, clean_up: TaskTracker) -> Self {
        Self { workspace: Arc::new(Workspace::new(root, task_id)), runtime, clean_up }
    }

    /// A directory outside of a worker, which is not removed.
    pub(super) fn standalone(workspace: Workspace, runtime: Handle, clean_up: TaskTracker) -> Self {
        Self { workspace: Arc::new(workspace), runtime, clean_up }
    }

    /// Runs blocking work on a thread.
    pub(super) async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Workspace) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let directory = self.clone();
        let done = self.runtime.spawn_blocking(with_log_context(move || work(&directory.workspace))).await;
        done.unwrap_or_else(|error| {
            Err(FileError::new(FileErrorKind::Other, "the thread for the file was lost").because(error))
        })
    }

    /// Starts blocking work that only the end of the worker waits for.
    pub(super) fn clean_up_on_thread(self: &Arc<Self>, work: impl FnOnce(&Workspace) + Send + 'static) {
        let directory = self.clone();
        let work = with_log_context(move || work(&directory.workspace));
        self.clean_up.spawn_blocking_on(work, &self.runtime);
    }

    /// Starts async work that only the end of the worker waits for.
    #[cfg(feature = "s3")]
    pub(super) fn clean_up(&self, work: impl Future<Output = ()> + Send + 'static) {
        use tracing::Instrument as _;
        use tracing::instrument::WithSubscriber as _;
        let work = work.in_current_span().with_current_subscriber();
        self.clean_up.spawn_on(work, &self.runtime);
    }

    /// Returns a guard of the directory; None if it was not made.
    pub(super) fn guard(self: &Arc<Self>) -> Option<DirectoryGuard> {
        self.workspace.existing().map(|_| DirectoryGuard(Arc::new(RemoveOnDrop(self.clone()))))
    }
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        self.0.clean_up_on_thread(remove);
    }
}

impl Drop for TaskDirectory {
    /// A thread of a cancelled task may have made the directory after its result was safe, or written to it during its
    /// removal.
    fn drop(&mut self) {
        if self.workspace.existing().is_some_and(Made::is_left) {
            let workspace = self.workspace.clone();
            self.clean_up.spawn_blocking_on(with_log_context(move || remove(&workspace)), &self.runtime);
        }
    }
}

fn remove(workspace: &Workspace) {
    let Some(made) = workspace.existing() else { return };
    if let Err(error) = made.remove() {
        tracing::warn!(path = %made.path.display(), %error, "cannot remove the directory of a task");
    }
}
