//! Whether there is space on the disks where tasks and results are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::capacity::changes::Changes;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(10);

/// Less is too little.
const LEAST_BYTES: u64 = 256 << 20;

/// Less than this part of the whole is too little, too.
const LEAST_PART: u64 = 100;

/// What there is on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Space {
    available: u64,
    total: u64,
}

impl Space {
    fn is_low(self) -> bool {
        self.available < LEAST_BYTES || self.available < self.total / LEAST_PART
    }
}

/// What is known of the disks.
#[derive(Debug)]
pub(crate) struct Disk {
    low: watch::Sender<Option<PathBuf>>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { low: watch::Sender::new(None) }
    }
}

impl Disk {
    /// Where there is too little.
    pub(crate) fn low(&self) -> Option<PathBuf> {
        self.low.borrow().clone()
    }

    pub(crate) fn is_low(&self) -> bool {
        self.low.borrow().is_some()
    }

    /// Waits until there is enough.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(crate) async fn room(&self) {
        // Its sender lives as long as this.
        let _ = self.low.subscribe().wait_for(Option::is_none).await;
    }
}

/// Looks at the disks of these folders until the worker closes.
pub(crate) async fn watch(
    disk: Arc<Disk>,
    folders: Vec<PathBuf>,
    changes: Arc<Changes>,
    closing: CancellationToken,
) {
    watch_by(&disk, &folders, &changes, &closing, lowest).await;
}

async fn watch_by(
    disk: &Disk,
    folders: &[PathBuf],
    changes: &Changes,
    closing: &CancellationToken,
    look: impl Fn(&[PathBuf]) -> Option<(PathBuf, Space)> + Copy + Send + 'static,
) {
    loop {
        let folders = folders.to_vec();
        // A disk may take its time: not on the thread of the heartbeats.
        let look = async {
            if let Ok(low) = tokio::task::spawn_blocking(move || look(&folders)).await
                && disk.is_news(low)
            {
                changes.happened();
            }
            tokio::time::sleep(INTERVAL).await;
        };
        tokio::select! {
            // One that never answers, of a network say, does not hold up the end.
            () = closing.cancelled() => return,
            () = look => {}
        }
    }
}

impl Disk {
    /// Takes in the result of a look, and logs a change. True when the worker accepts tasks again, or no longer.
    fn is_news(&self, low: Option<(PathBuf, Space)>) -> bool {
        let folder = low.as_ref().map(|(folder, _)| folder.clone());
        let before = self.low.send_replace(folder.clone());
        match (before, low) {
            (None, Some((folder, space))) => tracing::warn!(
                folder = %folder.display(), available_mib = space.available >> 20, total_mib = space.total >> 20,
                "there is less than 256 MiB or 1 % left on the disk: the worker takes no tasks until there is more"
            ),
            (Some(folder), None) => {
                tracing::info!(folder = %folder.display(), "there is space on the disk again: the worker takes tasks");
            }
            _ => return false,
        }
        true
    }
}

/// The first folder on whose disk there is too little. One that cannot be looked at counts as none: what is written
/// there will fail, and say so.
fn lowest(folders: &[PathBuf]) -> Option<(PathBuf, Space)> {
    folders.iter().find_map(|folder| {
        let space = space(folder)?;
        space.is_low().then(|| (folder.clone(), space))
    })
}

/// Of a folder that need not exist yet: then of the nearest one above it that does.
fn space(folder: &Path) -> Option<Space> {
    let here = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(if here.as_os_str().is_empty() { Path::new(".") } else { here }).ok()?;
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    // A file system without blocks (of a kernel, say) knows no space.
    (total > 0).then(|| Space { available: disk.f_bavail.saturating_mul(disk.f_frsize), total })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::threads::lock;

    #[test]
    fn little_is_less_than_256_mib_or_than_a_hundredth() {
        let low = |available, total| Space { available, total }.is_low();
        assert!(low(LEAST_BYTES - 1, LEAST_BYTES * 2) && !low(LEAST_BYTES, LEAST_BYTES * 2));
        assert!(low((10 << 30) - 1, 1000 << 30) && !low(10 << 30, 1000 << 30));
    }

    #[tokio::test]
    async fn a_disk_that_never_answers_does_not_hold_up_the_end() {
        static ASKED: Semaphore = Semaphore::const_new(0);
        static ANSWER: Mutex<Option<Receiver<()>>> = Mutex::new(None);
        let (never, answer) = channel();
        *lock(&ANSWER) = Some(answer);
        let (disk, changes, closing) = (Disk::default(), Changes::new(1), CancellationToken::new());
        let watching = watch_by(&disk, &[], &changes, &closing, |_| {
            ASKED.add_permits(1);
            lock(&ANSWER).as_ref()?.recv().err().and(None)
        });
        let end = async {
            ASKED.acquire().await.expect("it is never closed").forget();
            closing.cancel();
        };
        let both = async { tokio::join!(watching, end) };
        let ended = tokio::time::timeout(Duration::from_secs(5), both).await;
        // The thread that looks is to end with the test.
        drop(never);
        assert!(ended.is_ok(), "it waits for the disk");
    }

    #[test]
    fn a_folder_that_does_not_exist_is_on_the_disk_of_the_one_above() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = space(&folder.path().join("a/b/c")).expect("known");
        assert_eq!(below.total, space(folder.path()).expect("known").total);
        assert_eq!(space(Path::new("/proc/1")), None);
    }
}
