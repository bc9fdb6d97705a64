//! The changes of files, as Linux tells them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, anyhow};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;

use super::rules::{FILE, Rules};
use crate::exit::Failure;

/// What counts as a change. A file that is closed after writing counts although nothing was written: `touch` does that.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::EXCL_UNLINK)
    .union(WatchFlags::ONLYDIR);

/// Watches directories. Each has a watch of its own, so what is ignored costs nothing.
#[derive(Debug)]
pub(super) struct Inotify {
    descriptor: Receiver,
    roots: Vec<Root>,
    current: PathBuf,
    /// A directory that is not watched, although it lies below one that is.
    left_out: Option<PathBuf>,
    watched: HashMap<i32, Watched>,
    /// Changes that were read and not returned yet.
    changes: VecDeque<PathBuf>,
}

/// A path that the user named.
#[derive(Debug, Clone)]
enum Root {
    Directory(PathBuf),
    /// A file, by its directory and its name: editors replace files by others.
    File(PathBuf, OsString),
}

/// A watched directory.
#[derive(Debug, Default)]
struct Watched {
    directory: PathBuf,
    /// The rules for its entries; `None` if only some files of it are watched.
    rules: Option<Rc<Rules>>,
    /// Files that are watched whatever the rules say.
    files: HashSet<OsString>,
}

/// An event as it was read.
struct Event {
    watch: i32,
    kind: ReadFlags,
    name: Option<OsString>,
}

impl Inotify {
    /// Watches files, and everything below directories that is not ignored or `left_out`.
    pub(super) fn new(paths: &[PathBuf], current: &Path, left_out: Option<&Path>) -> Result<Self, Failure> {
        let roots = paths.iter().map(|path| Root::of(path)).collect::<Result<Vec<_>, _>>()?;
        let descriptor = open().context("cannot watch files")?;
        let mut watches = Self {
            descriptor,
            roots,
            current: current.to_owned(),
            left_out: left_out.and_then(|path| Some(plain(&std::path::absolute(path).ok()?))),
            watched: HashMap::new(),
            changes: VecDeque::new(),
        };
        watches.add_roots().map_err(|error| {
            let failure = Failure::from(anyhow::Error::from(error).context("cannot watch all directories"));
            failure.with_hint("name fewer with `--watch PATH`, or raise `fs.inotify.max_user_watches`")
        })?;
        Ok(watches)
    }

    /// Waits for the next change, and returns its path.
    ///
    /// # Cancel safety
    /// No change is lost when this is dropped.
    pub(super) async fn next(&mut self) -> io::Result<PathBuf> {
        loop {
            if let Some(path) = self.changes.pop_front() {
                return Ok(path);
            }
            self.descriptor.readable().await?;
            match self.descriptor.try_io(|| read(&self.descriptor)) {
                Ok(events) => {
                    for event in events {
                        self.note(event)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add_roots(&mut self) -> io::Result<()> {
        for root in self.roots.clone() {
            match root {
                Root::Directory(directory) => {
                    let rules = Rules::of_root(&directory, &self.current);
                    self.add_tree(directory, rules, false)?;
                }
                Root::File(directory, name) => {
                    if let Some(watched) = self.add(&directory)? {
                        watched.files.insert(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts over, after the rules have changed or events were lost.
    fn start_over(&mut self) -> io::Result<()> {
        self.descriptor = open()?;
        self.watched.clear();
        self.add_roots()
    }

    /// Watches a directory and those below it. If they are new, the files in them are changes.
    fn add_tree(&mut self, directory: PathBuf, rules: Rc<Rules>, are_new: bool) -> io::Result<()> {
        let mut open = vec![(directory, rules)];
        while let Some((directory, rules)) = open.pop() {
            // The watch comes before the look, so that nothing falls between them.
            let Some(watched) = self.add(&directory)? else { continue };
            watched.rules = Some(rules.clone());
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if rules.ignore(&entry.file_name(), is_directory) {
                    continue;
                }
                let path = entry.path();
                if self.is_left_out(&path) {
                    continue;
                }
                if is_directory {
                    let rules = rules.below(&path);
                    open.push((path, rules));
                } else if are_new {
                    self.changes.push_back(path);
                }
            }
        }
        Ok(())
    }

    /// Watches one directory. `None` if it is gone, or may not be read.
    fn add(&mut self, directory: &Path) -> io::Result<Option<&mut Watched>> {
        match inotify::add_watch(&self.descriptor, directory, CHANGES) {
            Ok(watch) => {
                let watched = self.watched.entry(watch).or_default();
                directory.clone_into(&mut watched.directory);
                Ok(Some(watched))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.as_deref() == Some(path)
    }

    fn note(&mut self, event: Event) -> io::Result<()> {
        if event.kind.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.changes.push_back(self.current.clone());
            return self.start_over();
        }
        if event.kind.contains(ReadFlags::IGNORED) {
            self.watched.remove(&event.watch);
            return Ok(());
        }
        let (Some(watched), Some(name)) = (self.watched.get(&event.watch), event.name) else { return Ok(()) };
        let is_directory = event.kind.contains(ReadFlags::ISDIR);
        let rules = watched.rules.clone().filter(|rules| !rules.ignore(&name, is_directory));
        if rules.is_none() && !watched.files.contains(&name) {
            return Ok(());
        }
        let path = watched.directory.join(&name);
        if self.is_left_out(&path) {
            return Ok(());
        }
        match rules {
            Some(rules) if is_directory => self.note_directory(event.kind, path, &rules),
            Some(_) if name == FILE => {
                self.changes.push_back(path);
                self.start_over()
            }
            _ => {
                self.changes.push_back(path);
                Ok(())
            }
        }
    }

    fn note_directory(&mut self, kind: ReadFlags, path: PathBuf, rules: &Rc<Rules>) -> io::Result<()> {
        if kind.contains(ReadFlags::MOVED_FROM) {
            let descriptor = &self.descriptor;
            self.watched.retain(|watch, watched| {
                let has_moved = watched.directory.starts_with(&path);
                if has_moved {
                    // It may have been removed meanwhile.
                    let _ = inotify::remove_watch(descriptor, *watch);
                }
                !has_moved
            });
            self.changes.push_back(path);
            return Ok(());
        }
        if kind.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            let below = rules.below(&path);
            self.add_tree(path, below, true)?;
        }
        Ok(())
    }
}

impl Root {
    fn of(path: &Path) -> Result<Self, Failure> {
        let found = fs::metadata(path).and_then(|kind| Ok((kind, std::path::absolute(path)?)));
        let (kind, absolute) = found.map_err(|error| {
            let text = format!("`--watch` is `{}`, expected a file or a directory", path.display());
            Failure::usage(anyhow::Error::from(error).context(text))
        })?;
        let absolute = plain(&absolute);
        if kind.is_dir() {
            return Ok(Self::Directory(absolute));
        }
        match (absolute.parent(), absolute.file_name()) {
            (Some(directory), Some(name)) => Ok(Self::File(directory.to_owned(), name.to_owned())),
            _ => Err(Failure::usage(anyhow!("`--watch` is `{}`, expected a file", path.display()))),
        }
    }
}

/// Returns a path without `.` at its end, and the like: paths are compared with those of entries.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Opens a descriptor. The runtime reads it as it reads a pipe: by waiting until there is something.
fn open() -> io::Result<Receiver> {
    Receiver::from_owned_fd_unchecked(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)
}

/// Reads what is there; `WouldBlock` if there is nothing.
fn read(descriptor: impl AsFd) -> io::Result<Vec<Event>> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut reader = inotify::Reader::new(descriptor, &mut buffer);
    let mut events = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                events.push(Event { watch: event.wd(), kind: event.events(), name });
                // The rest is read in the next round, so that the list stays bounded.
                if reader.is_buffer_empty() {
                    return Ok(events);
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn change(watches: &mut Inotify, root: &Path) -> PathBuf {
        let next = tokio::time::timeout(testkit::PATIENCE, watches.next()).await;
        let path = next.expect("a change").expect("no error");
        path.strip_prefix(root).expect("a path below the root").to_owned()
    }

    #[tokio::test]
    async fn changes_are_told_and_ignored_files_are_not() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path().canonicalize().expect("a path");
        fs::write(root.join(FILE), "*.log\n").expect("written");
        fs::create_dir(root.join("target")).expect("a directory");
        let state = root.join("inner/state/.");
        fs::create_dir(root.join("inner")).expect("a directory");
        let watches = Inotify::new(std::slice::from_ref(&root), &root, Some(&state));
        let mut watches = watches.unwrap_or_else(|_| panic!("watched"));

        // Also when it is new.
        fs::create_dir(root.join("inner/state")).expect("a directory");
        fs::write(state.join("state.redb"), "x").expect("written");

        fs::write(root.join("target/ignored"), "x").expect("written");
        fs::write(root.join("ignored.log"), "x").expect("written");
        fs::write(root.join("main.py"), "x").expect("written");
        assert_eq!(change(&mut watches, &root).await, Path::new("main.py"));

        // A file in a directory that is new.
        fs::create_dir_all(root.join("a/b")).expect("directories");
        fs::write(root.join("a/b/new.py"), "x").expect("written");
        while change(&mut watches, &root).await != Path::new("a/b/new.py") {}

        fs::rename(root.join("a"), root.join("c")).expect("moved");
        while change(&mut watches, &root).await != Path::new("c/b/new.py") {}
        fs::remove_file(root.join("c/b/new.py")).expect("removed");
        while change(&mut watches, &root).await != Path::new("c/b/new.py") {}

        // New rules count at once.
        fs::write(root.join(FILE), "*.py\n").expect("written");
        while change(&mut watches, &root).await != Path::new(FILE) {}
        fs::write(root.join("main.py"), "y").expect("written");
        fs::write(root.join("now.log"), "y").expect("written");
        loop {
            let path = change(&mut watches, &root).await;
            assert_ne!(path, Path::new("main.py"));
            if path == Path::new("now.log") {
                break;
            }
        }
    }

    #[tokio::test]
    async fn a_single_file_is_watched_even_if_it_is_replaced() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path().canonicalize().expect("a path");
        let file = root.join("worker.py");
        fs::write(&file, "x").expect("written");
        let watches = Inotify::new(std::slice::from_ref(&file), &root, None);
        let mut watches = watches.unwrap_or_else(|_| panic!("watched"));
        fs::write(root.join("other.py"), "x").expect("written");
        fs::write(root.join("new"), "y").expect("written");
        fs::rename(root.join("new"), &file).expect("moved");
        assert_eq!(change(&mut watches, &root).await, Path::new("worker.py"));
        assert!(Inotify::new(&[root.join("missing")], &root, None).is_err());
    }
}
