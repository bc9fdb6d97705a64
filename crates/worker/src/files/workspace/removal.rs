//! Removal of a directory with all its contents, whatever a handler has put there: directories nested deeper than the
//! limit of open files, or without write permission. Blocks.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cap_std::fs::Dir;

use crate::files::error::found;

/// The most nested directories that are open at once. Deeper directories are first moved up.
const MAX_DEPTH: usize = 32;

/// The beginning of the names of directories that were moved up.
const MOVED: &str = ".avtomatika-moved-";

/// Removes a directory of `root`. A missing directory is not an error; a symbolic link in its place is removed, not followed.
pub(super) fn remove_all(root: &Dir, name: &Path) -> io::Result<()> {
    let Some(there) = found(root.symlink_metadata(name))? else { return Ok(()) };
    if !there.is_dir() {
        return root.remove_file(name);
    }
    match found(Removal::of(root, name, false)) {
        // A directory inside denies writing or listing.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Removal::of(root, name, true),
        removed => removed.map(|_| ()),
    }
}

struct Removal<'a> {
    top: &'a Dir,
    /// Gives the owner all permissions on each directory before opening it.
    force: bool,
    moved: u64,
}

impl Removal<'_> {
    fn of(root: &Dir, name: &Path, force: bool) -> io::Result<()> {
        let top = open(root, name, force)?;
        let mut removal = Removal { top: &top, force, moved: 0 };
        loop {
            let before = removal.moved;
            removal.clear(&top, 0)?;
            if removal.moved == before {
                break;
            }
        }
        root.remove_dir(name)
    }

    fn clear(&mut self, dir: &Dir, depth: usize) -> io::Result<()> {
        for entry in dir.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            let is_directory = entry.file_type()?.is_dir();
            // An abandoned download may have removed its part in the meantime.
            found(self.remove(dir, Path::new(&name), is_directory, depth))?;
        }
        Ok(())
    }

    fn remove(&mut self, dir: &Dir, name: &Path, is_directory: bool, depth: usize) -> io::Result<()> {
        if !is_directory {
            return dir.remove_file(name);
        }
        if depth < MAX_DEPTH {
            self.clear(&open(dir, name, self.force)?, depth + 1)?;
            return dir.remove_dir(name);
        }
        self.moved += 1;
        dir.rename(name, self.top, format!("{MOVED}{:016x}", fastrand::u64(..)))
    }
}

fn open(parent: &Dir, name: &Path, force: bool) -> io::Result<Dir> {
    if force {
        parent.set_permissions(name, cap_std::fs::Permissions::from_std(Permissions::from_mode(0o700)))?;
    }
    parent.open_dir(name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use cap_std::ambient_authority;

    use super::*;

    fn root(folder: &tempfile::TempDir) -> Dir {
        Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("opened")
    }

    #[test]
    fn directories_nested_deeper_than_the_limit_of_open_files_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = root(&folder);
        root.create_dir("task").expect("made");
        let mut here = root.open_dir("task").expect("opened");
        // Deeper than the longest path, and than the limit of open files of this process.
        for number in 0..3000 {
            here.write(format!("file-{number}"), "x").expect("written");
            here.create_dir("d").expect("made");
            here = here.open_dir("d").expect("opened");
        }
        drop(here);
        remove_all(&root, Path::new("task")).expect("removed");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
    }

    #[test]
    fn directories_without_write_permission_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = root(&folder);
        root.create_dir_all("task/a/b").expect("made");
        root.write("task/a/b/file", "x").expect("written");
        for (directory, mode) in [("task/a/b", 0o000), ("task/a", 0o500), ("task", 0o500)] {
            let path = folder.path().join(directory);
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("taken away");
        }
        remove_all(&root, Path::new("task")).expect("removed");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let (folder, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        fs::write(elsewhere.path().join("a"), "x").expect("written");
        let root = root(&folder);
        root.create_dir_all("task/a").expect("made");
        root.create_dir("neighbour").expect("made");
        root.write("neighbour/b", "x").expect("written");
        symlink(elsewhere.path(), folder.path().join("task/a/out")).expect("linked");
        symlink("../../neighbour", folder.path().join("task/a/beside")).expect("linked");
        symlink("neighbour", folder.path().join("link")).expect("linked");
        for name in ["task", "link", "none"] {
            remove_all(&root, Path::new(name)).expect("removed");
        }
        assert!(elsewhere.path().join("a").exists() && folder.path().join("neighbour/b").exists());
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
