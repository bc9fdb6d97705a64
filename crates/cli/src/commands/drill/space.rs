//! A disk for the directories of a worker, which can be filled: a file system in memory, where one can be mounted.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use tempfile::TempDir;

/// The beginning of the names of the directories of drills.
const PREFIX: &str = "avtomatika-drill-";

/// The directory of the disk.
const DISK: &str = "disk";

/// The tries to make a directory that no drill takes for the rest of another one.
const TRIES: u32 = 3;

/// The directory for everything that the workers write.
#[derive(Debug)]
pub(super) struct Space {
    folder: TempDir,
    /// The directory, locked for as long as the drill runs.
    _lock: File,
    /// The reason why it is no disk of its own.
    problem: Option<String>,
}

impl Space {
    /// Makes a directory, with a disk of its own if that is wanted and can be made. To be called before any thread is
    /// started: what is mounted is seen by this thread and by those that it starts, with their processes, and is gone
    /// with the last of them.
    pub(super) fn new(has_disk: bool) -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        remove_rests(&parent);
        let (folder, lock) = new_folder(&parent).context("cannot make a temporary directory")?;
        let mut space = Self { folder, _lock: lock, problem: None };
        let path = space.directory(DISK)?;
        space.problem = if has_disk { disk::make(&path).err() } else { None };
        Ok(space)
    }

    /// Makes a directory in it.
    pub(super) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(path)
    }

    /// Makes a directory on the disk that is filled; in an ordinary place if there is none.
    pub(super) fn directory_on_disk(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory(&format!("{DISK}/{name}"))?;
        // Whatever is written there changes this.
        let marked = File::open(&path)
            .and_then(|folder| folder.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)));
        marked.with_context(|| format!("cannot mark `{}`", path.display()))?;
        Ok(path)
    }

    /// Whether anything was ever written to a directory on the disk.
    pub(super) fn is_used(&self) -> bool {
        let folders = fs::read_dir(self.folder.path().join(DISK)).into_iter().flatten().flatten();
        let mut folders = folders.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_dir);
        folders.any(|folder| folder.modified().is_ok_and(|time| time != SystemTime::UNIX_EPOCH))
    }

    /// The disk, or the reason why there is none.
    pub(super) fn disk(&self) -> Result<&Self, &str> {
        self.problem.as_deref().map_or(Ok(self), Err)
    }

    /// Leaves no room.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        disk::fill(&self.folder.path().join(DISK))
    }

    /// Makes room again.
    pub(super) fn empty(&self) -> anyhow::Result<()> {
        disk::empty(&self.folder.path().join(DISK))
    }
}

/// Makes a directory, and locks it.
fn new_folder(parent: &Path) -> std::io::Result<(TempDir, File)> {
    let mut tries = 1..=TRIES;
    loop {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let locked = File::open(folder.path()).and_then(|file| Ok((file.try_lock()?, file)));
        match (locked, tries.next()) {
            // Another drill may have removed it before it was locked.
            (Ok(((), lock)), _) if folder.path().exists() => return Ok((folder, lock)),
            (Err(error), None) => return Err(error),
            (_, None) => return Err(std::io::ErrorKind::NotFound.into()),
            _ => {}
        }
    }
}

/// Removes the directories of drills that were killed: nobody locks them any more. What cannot be removed stays.
fn remove_rests(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder
            && entry.file_name().to_string_lossy().starts_with(PREFIX)
            && let Ok(folder) = File::open(entry.path())
            && folder.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Space {
    fn drop(&mut self) {
        if self.problem.is_none() {
            // Else the directory could not be removed. If nothing is mounted, nothing happens.
            let _ =
                rustix::mount::unmount(self.folder.path().join(DISK), rustix::mount::UnmountFlags::DETACH);
        }
    }
}

#[cfg(target_os = "linux")]
mod disk {
    use std::ffi::CString;
    use std::fs;

    use rustix::fs::statvfs;
    use rustix::io::Errno;
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
    use rustix::thread::UnshareFlags;

    use super::{Context, Path};

    /// The size of the disk. Nothing of it is in use before something is written.
    const SIZE: u64 = 1024 * 1024 * 1024;

    /// The file without which the disk would be empty, and have no smallest size.
    const FILLER: &str = "filler";

    /// The number of tries: the worker may write at the same time.
    const TRIES: u32 = 100;

    pub(super) fn make(folder: &Path) -> Result<(), String> {
        let problem = |what: &str, error: Errno| match error {
            Errno::PERM | Errno::ACCESS => {
                "a small file system can only be mounted by root, and not in every container".to_owned()
            }
            error => format!("{what}: {error}"),
        };
        own_mounts().map_err(|error| problem("mounts of its own cannot be made", error))?;
        let (size, flags) = (options(SIZE), MountFlags::NOSUID | MountFlags::NODEV);
        mount("tmpfs", folder, "tmpfs", flags, size.as_c_str())
            .map_err(|error| problem("a file system in memory cannot be mounted", error))?;
        fs::write(folder.join(FILLER), "x").map_err(|error| error.to_string())
    }

    /// Keeps what is mounted from now on to this thread and what it starts.
    #[expect(deprecated, reason = "only the sharing of descriptors, which stays, makes this call dangerous")]
    fn own_mounts() -> rustix::io::Result<()> {
        rustix::thread::unshare(UnshareFlags::NEWNS)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
    }

    /// Makes the disk as small as what is on it.
    pub(super) fn fill(folder: &Path) -> anyhow::Result<()> {
        let mut result = Ok(());
        for _ in 0..TRIES {
            let disk = statvfs(folder).context("cannot look at the disk")?;
            // A size of 0 would be none at all, and could not be taken back.
            let used = (disk.f_blocks - disk.f_bfree).max(1) * disk.f_frsize;
            result = resize(folder, used);
            if result.is_ok() {
                break;
            }
        }
        result.context("cannot fill the disk")
    }

    pub(super) fn empty(folder: &Path) -> anyhow::Result<()> {
        resize(folder, SIZE).context("cannot empty the disk")
    }

    fn resize(folder: &Path, size: u64) -> rustix::io::Result<()> {
        mount_remount(folder, MountFlags::NOSUID | MountFlags::NODEV, options(size))
    }

    fn options(size: u64) -> CString {
        CString::new(format!("size={size}")).unwrap_or_default()
    }
}

#[cfg(not(target_os = "linux"))]
mod disk {
    use super::Path;

    pub(super) fn make(_folder: &Path) -> Result<(), String> {
        Err("a small file system can only be mounted on Linux".to_owned())
    }

    pub(super) fn fill(_folder: &Path) -> anyhow::Result<()> {
        anyhow::bail!("there is no disk to fill")
    }

    pub(super) fn empty(_folder: &Path) -> anyhow::Result<()> {
        anyhow::bail!("there is no disk to empty")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directories_of_drills_that_are_over_are_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let (running, _lock) = new_folder(parent.path()).expect("a directory");
        let rest = parent.path().join(format!("{PREFIX}rest"));
        let other = parent.path().join("other");
        for folder in [&rest, &other] {
            fs::create_dir_all(folder.join("files")).expect("a directory");
        }
        fs::write(rest.join("files/file"), "x").expect("written");
        remove_rests(parent.path());
        assert!(running.path().exists() && other.exists() && !rest.exists());
    }

    #[test]
    fn a_disk_is_used_once_a_file_was_there() {
        let space = Space::new(false).expect("a directory");
        let path = space.directory_on_disk("files").expect("a directory");
        assert!(!space.is_used());
        fs::write(path.join("file"), "x").expect("written");
        fs::remove_file(path.join("file")).expect("removed");
        assert!(space.is_used());
    }
}
