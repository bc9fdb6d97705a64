//! The space on the disks where tasks and results are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::capacity::heartbeat_trigger::HeartbeatTrigger;
use crate::threads::probe::Probe;

/// The time between two looks at the disks, and the time limit of one.
const INTERVAL: Duration = Duration::from_secs(10);

/// The minimum available space, in bytes, on a disk that is not small.
const MIN_BYTES: u64 = 256 << 20;

/// The minimum available part of the total space of a small disk, such as one in memory: one in this many.
const MIN_PART_OF_SMALL: u64 = 10;

/// The minimum available part of the total space of any disk: one in this many.
const MIN_PART: u64 = 100;

/// The space on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    available: u64,
    total: u64,
}

impl Space {
    fn is_low(self) -> bool {
        self.available < self.least()
    }

    /// The space that must be available.
    fn least(self) -> u64 {
        MIN_BYTES.min(self.total / MIN_PART_OF_SMALL).max(self.total / MIN_PART)
    }
}

/// A directory on a disk with too little space.
pub(crate) type LowSpace = (PathBuf, Space);

/// The disks of a worker.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    low: watch::Sender<Option<PathBuf>>,
}

impl Disk {
    /// The directory on whose disk there is too little space.
    pub(crate) fn low(&self) -> Option<PathBuf> {
        self.low.borrow().clone()
    }

    /// Returns true if there is too little space on one of the disks.
    pub(crate) fn is_low(&self) -> bool {
        self.low.borrow().is_some()
    }

    /// Waits until there is enough space on all disks.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn room(&self) {
        // Asked before each poll: to subscribe would cost more.
        if self.is_low() {
            // The sender lives as long as `self`.
            let _ = self.low.subscribe().wait_for(Option::is_none).await;
        }
    }

    /// Looks at the disks of these directories every 10 s until the worker ends, by [`lowest`] except in tests. A change
    /// triggers a heartbeat.
    pub(crate) async fn watch(
        &self,
        directories: Vec<PathBuf>,
        trigger: &HeartbeatTrigger,
        closing: &CancellationToken,
        look: impl Fn(&[PathBuf]) -> Option<LowSpace> + Copy + Send + 'static,
    ) {
        let looks = Probe::new("avtomatika-disks", INTERVAL);
        loop {
            let directories = directories.clone();
            let look = async {
                // While the disk does not answer, its last answer counts.
                let _ = looks.ask(move || look(&directories)).await;
                if let Some(low) = looks.last() {
                    self.update(low, trigger);
                }
                tokio::time::sleep(INTERVAL).await;
            };
            tokio::select! {
                // A disk that never answers, of a network for example, does not hold up the end.
                () = closing.cancelled() => return,
                () = look => {}
            }
        }
    }

    fn update(&self, low: Option<LowSpace>, trigger: &HeartbeatTrigger) {
        let before = self.low.send_replace(low.as_ref().map(|(directory, _)| directory.clone()));
        match (before, low) {
            (None, Some((directory, space))) => tracing::warn!(
                folder = %directory.display(),
                available_mib = space.available >> 20, total_mib = space.total >> 20, needed_mib = space.least() >> 20,
                "too little of the disk is free: the worker takes no tasks until more is free"
            ),
            (Some(directory), None) => tracing::info!(
                folder = %directory.display(),
                "there is enough space on the disk again: the worker takes tasks"
            ),
            _ => return,
        }
        trigger.on_change();
    }
}

/// Returns the first directory on whose disk there is too little space. A directory that cannot be looked at is skipped:
/// writing there will fail with an error of its own.
pub(crate) fn lowest(directories: &[PathBuf]) -> Option<LowSpace> {
    directories.iter().find_map(|directory| {
        let space = space(directory)?;
        space.is_low().then(|| (directory.clone(), space))
    })
}

/// Returns the space on the disk of a directory, or, if it does not exist yet, of its nearest ancestor that does.
fn space(directory: &Path) -> Option<Space> {
    let here = directory.ancestors().find(|directory| directory.exists())?;
    let disk = rustix::fs::statvfs(if here.as_os_str().is_empty() { Path::new(".") } else { here }).ok()?;
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    // A file system without blocks, such as one of the kernel's, has no space to report.
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
    fn little_is_less_than_a_hundredth_or_than_256_mib_or_a_tenth_of_a_small_disk() {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        for (total, least) in [
            (1, 0),
            (64 * MIB, 64 * MIB / 10),
            (200 * MIB, 20 * MIB),
            (2560 * MIB, 256 * MIB),
            (20 * GIB, 256 * MIB),
            (25 * GIB, 256 * MIB),
            (1000 * GIB, 10 * GIB),
        ] {
            let is_low = |available| Space { available, total }.is_low();
            assert!(!is_low(least) && (least == 0 || is_low(least - 1)), "{total}: {least}");
            assert!(!is_low(total), "an empty disk of {total} bytes");
        }
    }

    #[tokio::test]
    async fn a_disk_that_never_answers_does_not_hold_up_the_end() {
        static ASKED: Semaphore = Semaphore::const_new(0);
        static ANSWER: Mutex<Option<Receiver<()>>> = Mutex::new(None);
        let (never, answer) = channel();
        *lock(&ANSWER) = Some(answer);
        let (disk, trigger, closing) = (Disk::default(), HeartbeatTrigger::new(1), CancellationToken::new());
        let look = |_: &[PathBuf]| {
            ASKED.add_permits(1);
            lock(&ANSWER).as_ref()?.recv().err().and(None)
        };
        let watching = disk.watch(Vec::new(), &trigger, &closing, look);
        let end = async {
            ASKED.acquire().await.expect("it is never closed").forget();
            closing.cancel();
        };
        let both = async { tokio::join!(watching, end) };
        let ended = tokio::time::timeout(testkit::PATIENCE, both).await;
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
