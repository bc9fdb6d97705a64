//! The pictures of the demo, and the directory they are in.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;

use super::resize_image::Resize;
use crate::exit::Failure;

/// A picture that is part of this program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    /// The name of its file.
    pub(super) name: &'static str,
    /// Width and height.
    pub(super) size: (u32, u32),
    /// The file.
    pub(super) bytes: &'static [u8],
}

/// All of them.
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

/// The directory: originals in `originals`, results beside it.
#[derive(Debug)]
pub(super) struct Gallery {
    directory: PathBuf,
    /// Removes the directory when it is dropped.
    removal: Option<TempDir>,
}

impl Gallery {
    /// A new directory under the system's temporary one. It is removed unless it is [kept](Self::keep).
    pub(super) fn temporary() -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("avtomatika-demo-").tempdir_in(&parent);
        let made = made.with_context(|| format!("cannot make a directory in `{}`", parent.display()));
        let made = made.map_err(|error| {
            Failure::from(error).with_hint("say where the pictures go with `--output DIR`")
        })?;
        let gallery = Self::at(made.path())?;
        Ok(Self { removal: Some(made), ..gallery })
    }

    /// A directory of the user's. It is made when it is not there.
    pub(super) fn at(directory: &Path) -> Result<Self, Failure> {
        let shown = directory.display();
        let directory = std::path::absolute(directory).with_context(|| format!("cannot use `{shown}`"))?;
        if directory.to_str().is_none() {
            // Parameters of tasks are JSON.
            return Err(Failure::usage(anyhow!("the directory is `{shown}`, expected a path in UTF-8")));
        }
        Ok(Self { directory, removal: None })
    }

    /// Writes the originals, and makes sure that no result would replace a file.
    pub(super) fn hang(&self, pictures: &[Picture], width: u32) -> Result<(), Failure> {
        let originals = self.directory.join("originals");
        fs::create_dir_all(&originals).with_context(|| format!("cannot make `{}`", originals.display()))?;
        for picture in pictures {
            let target = self.target(picture, width);
            // Looks at the name itself: a link that leads nowhere is in the way, too.
            if target.symlink_metadata().is_ok() {
                return Err(Failure::from(anyhow!("`{}` is there already", target.display()))
                    .with_hint("name another directory with `--output`, or another width with `--width`"));
            }
            write_new(&self.original(picture), picture.bytes)?;
        }
        Ok(())
    }

    /// What a worker has to be given to resize a picture.
    pub(super) fn task(&self, picture: &Picture, width: u32) -> Resize {
        Resize { source: self.original(picture), target: self.target(picture, width), width }
    }

    /// A task like another one, half as wide, and with another target.
    pub(super) fn variant(&self, resize: &Resize) -> Resize {
        let width = (resize.width / 2).max(1);
        let name = resize.source.file_name().unwrap_or_default();
        let target = self.directory.join(format!("another-{width}-{}", name.to_string_lossy()));
        Resize { source: resize.source.clone(), target, width }
    }

    /// From now on the directory stays.
    pub(super) fn keep(&mut self) {
        if let Some(directory) = self.removal.take() {
            let _ = directory.keep();
        }
    }

    fn original(&self, picture: &Picture) -> PathBuf {
        self.directory.join("originals").join(picture.name)
    }

    /// `landscape-400.jpg`: so that several widths fit into one directory.
    fn target(&self, picture: &Picture, width: u32) -> PathBuf {
        let (stem, extension) = picture.name.rsplit_once('.').unwrap_or((picture.name, "png"));
        self.directory.join(format!("{stem}-{width}.{extension}"))
    }
}

/// Writes a file, unless it is there as it should be. One that is different is left alone.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cannot_write = || format!("cannot write `{}`", path.display());
    match fs::File::create_new(path) {
        Ok(mut file) => file.write_all(bytes).with_context(cannot_write),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if fs::read(path).is_ok_and(|found| found == bytes) {
                return Ok(());
            }
            bail!("`{}` is there already, and is another file", path.display())
        }
        Err(error) => Err(error).with_context(cannot_write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_are_what_the_table_says_and_small() {
        for picture in PICTURES {
            let decoded = image::load_from_memory(picture.bytes).expect("a picture");
            assert_eq!((decoded.width(), decoded.height()), picture.size, "{}", picture.name);
            assert!(picture.bytes.len() < 300_000, "{}", picture.name);
        }
    }

    #[test]
    fn files_that_are_there_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let gallery = Gallery::at(directory.path()).expect("a gallery");
        gallery.hang(&PICTURES, 400).expect("nothing is there");
        gallery.hang(&PICTURES, 400).expect("the same originals are there");

        let target = gallery.task(&PICTURES[0], 400).target;
        std::os::unix::fs::symlink("/nowhere/at/all", &target).expect("a link");
        let failure = gallery.hang(&PICTURES, 400).expect_err("the result is there");
        assert!(format!("{failure:?}").contains("is there already"), "{failure:?}");
        gallery.hang(&PICTURES, 300).expect("another width is another file");

        fs::write(gallery.task(&PICTURES[1], 300).source, "mine").expect("written");
        let failure = gallery.hang(&PICTURES, 300).expect_err("an original is another file");
        assert!(format!("{failure:?}").contains("another file"), "{failure:?}");
    }

    #[test]
    fn a_temporary_directory_goes_unless_it_is_kept() {
        let gallery = Gallery::temporary().expect("a directory");
        gallery.hang(&PICTURES, 400).expect("written");
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
