//! The pictures of the demo, and the directory of the results.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;

use crate::exit::Failure;

/// A picture that is included in this program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    /// The name of the file.
    pub(super) name: &'static str,
    /// The width and the height.
    pub(super) size: (u32, u32),
    /// The content of the file.
    pub(super) bytes: &'static [u8],
}

impl Picture {
    /// Returns the name of its result, such as `landscape-400.jpg`.
    fn result_name(&self, width: u32) -> String {
        let (stem, extension) = self.name.rsplit_once('.').unwrap_or((self.name, "png"));
        format!("{stem}-{width}.{extension}")
    }
}

/// All pictures.
pub(super) const PICTURES: [Picture; 3] = [
    Picture {
        name: "landscape.jpg",
        size: (1600, 1200),
        bytes: include_bytes!("../../../pictures/landscape.jpg"),
    },
    Picture {
        name: "mandelbrot.jpg",
        size: (1600, 1200),
        bytes: include_bytes!("../../../pictures/mandelbrot.jpg"),
    },
    Picture {
        name: "pattern.png",
        size: (1600, 1200),
        bytes: include_bytes!("../../../pictures/pattern.png"),
    },
];

/// The directory of the results.
#[derive(Debug)]
pub(super) struct Gallery {
    directory: PathBuf,
    /// Removes the directory when it is dropped.
    removal: Option<TempDir>,
}

impl Gallery {
    /// Creates a directory in the system's temporary one. It is removed at the end unless it is [kept](Self::keep).
    pub(super) fn temporary() -> Result<Self, Failure> {
        let made = temporary("avtomatika-demo-")?;
        let gallery = Self::at(made.path())?;
        Ok(Self { removal: Some(made), ..gallery })
    }

    /// Uses a directory of the user. [`prepare`](Self::prepare) creates it if necessary.
    pub(super) fn at(directory: &Path) -> Result<Self, Failure> {
        let shown = directory.display();
        let directory = std::path::absolute(directory).with_context(|| format!("cannot use `{shown}`"))?;
        if directory.to_str().is_none() {
            // The parameters of tasks are JSON.
            return Err(Failure::usage(anyhow!("the directory is `{shown}`, expected a path in UTF-8")));
        }
        Ok(Self { directory, removal: None })
    }

    /// Creates the directory if necessary, and checks that no result would replace a file.
    pub(super) fn prepare(&self, pictures: &[Picture], width: u32) -> Result<(), Failure> {
        let directory = &self.directory;
        fs::create_dir_all(directory).with_context(|| format!("cannot create `{}`", directory.display()))?;
        for picture in pictures {
            let target = self.directory.join(picture.result_name(width));
            // Does not follow links: a dangling link would be in the way, too.
            if target.symlink_metadata().is_ok() {
                return Err(Failure::from(anyhow!("`{}` already exists", target.display()))
                    .with_hint("choose another directory with `--output`, or another width with `--width`"));
            }
        }
        Ok(())
    }

    /// Saves a result, unless the same file exists. A different file of this name is not replaced.
    pub(super) fn save(&self, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.directory.join(name);
        write_new(&path, bytes)?;
        Ok(path)
    }

    /// Keeps the directory after the end.
    pub(super) fn keep(&mut self) {
        if let Some(directory) = self.removal.take() {
            let _ = directory.keep();
        }
    }
}

/// Creates a directory in the system's temporary one, which is removed when it is dropped.
pub(super) fn temporary(prefix: &str) -> Result<TempDir, Failure> {
    let parent = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(&parent);
    let made = made.with_context(|| format!("cannot create a directory in `{}`", parent.display()));
    made.map_err(|error| {
        Failure::from(error).with_hint("set the variable `TMPDIR` to a directory that can be written")
    })
}

/// Writes a file, unless the same file exists. A different file of this name is not replaced.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cannot_write = || format!("cannot write `{}`", path.display());
    match fs::File::create_new(path) {
        Ok(mut file) => file.write_all(bytes).with_context(cannot_write),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if fs::read(path).is_ok_and(|found| found == bytes) {
                return Ok(());
            }
            bail!("`{}` already exists with other content", path.display())
        }
        Err(error) => Err(error).with_context(cannot_write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_have_the_sizes_in_the_table_and_are_small() {
        for picture in PICTURES {
            let decoded = image::load_from_memory(picture.bytes).expect("a picture");
            assert_eq!((decoded.width(), decoded.height()), picture.size, "{}", picture.name);
            assert!(picture.bytes.len() < 300_000, "{}", picture.name);
        }
    }

    #[test]
    fn existing_files_are_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let gallery = Gallery::at(directory.path()).expect("a gallery");
        gallery.prepare(&PICTURES, 400).expect("nothing is there");
        let path = gallery.save("landscape-300.jpg", b"small").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"small");
        gallery.save("landscape-300.jpg", b"small").expect("the same file exists");
        let error = gallery.save("landscape-300.jpg", b"other").expect_err("another file");
        assert!(error.to_string().contains("other content"), "{error}");
        let failure = gallery.prepare(&PICTURES, 300).expect_err("a result is there");
        assert!(format!("{failure:?}").contains("already exists"), "{failure:?}");

        let link = directory.path().join("pattern-400.png");
        std::os::unix::fs::symlink("/nowhere/at/all", &link).expect("a link");
        let failure = gallery.prepare(&PICTURES, 400).expect_err("the link is there");
        assert!(format!("{failure:?}").contains("already exists"), "{failure:?}");
        gallery.save("pattern-400.png", b"small").expect_err("it is not followed");
        gallery.prepare(&PICTURES, 200).expect("another width is another file");
    }

    #[test]
    fn a_temporary_directory_is_removed_unless_it_is_kept() {
        let gallery = Gallery::temporary().expect("a directory");
        gallery.prepare(&PICTURES, 400).expect("it is there");
        let path = gallery.directory.clone();
        drop(gallery);
        assert!(!path.exists());

        let mut gallery = Gallery::temporary().expect("a directory");
        gallery.keep();
        let path = gallery.directory.clone();
        drop(gallery);
        fs::remove_dir_all(path).expect("it is still there");
    }
}
