//! Large inputs that come again and again, kept on disk (`WORKER_BLOB_CACHE_DIR`).
//!
//! A task gets a copy, on file systems that can share blocks (btrfs, xfs) one that costs nothing: whatever a handler
//! does to it, what is kept stays what it was. Several workers may share the directory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is written aside before it has its name.
const UNFINISHED: &str = "unfinished-";

/// What is unfinished for so long was left by a process that died.
const UNFINISHED_LIMIT: std::time::Duration = std::time::Duration::from_secs(3600);

/// The directory, and how much may be in it.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    directory: PathBuf,
    limit: u64,
}

/// One version of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheKey {
    name: String,
    size: u64,
}

impl CacheKey {
    /// None for an object without a tag, of which nothing tells whether it is the same; and for small ones, which are
    /// fetched as quickly.
    pub(super) fn of(uri: &str, etag: Option<&str>, size: u64) -> Option<Self> {
        const SMALLEST: u64 = 64 << 10;
        let etag = etag.filter(|_| size >= SMALLEST)?;
        let name = rxon::signing::digest(format!("{uri}\n{etag}\n{size}").as_bytes());
        Some(Self { name, size })
    }
}

impl Cache {
    pub(super) fn new(directory: PathBuf, limit: u64) -> Self {
        Self { directory, limit }
    }

    /// What is kept, to be copied. Blocks.
    pub(super) fn find(&self, key: &CacheKey) -> io::Result<Option<File>> {
        let kept = match File::open(self.directory.join(&key.name)) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if kept.metadata()?.len() != key.size {
            return Ok(None);
        }
        // By how long ago it was of use it is seen what to give up.
        let _ = kept.set_modified(SystemTime::now());
        Ok(Some(kept))
    }

    /// Keeps a copy of a file, and gives up what has not been of use for longest where there is too much. Blocks.
    pub(super) fn keep(&self, key: &CacheKey, mut file: File) -> io::Result<()> {
        if key.size > self.limit {
            return Ok(());
        }
        // What tasks may read only of their own is no business of other users'.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.evict(self.limit - key.size)?;
        let unfinished = self.directory.join(format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
        let copied = File::create_new(&unfinished).and_then(|mut copy| io::copy(&mut file, &mut copy));
        let named = copied.and_then(|bytes| {
            // A handler may have changed the file meanwhile, but not before it was told of it.
            if bytes == key.size {
                fs::rename(&unfinished, self.directory.join(&key.name))
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        });
        named.inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })
    }

    /// Removes what was of use longest ago until no more than this is left.
    fn evict(&self, limit: u64) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // Another worker that evicts, too, may have been quicker.
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) {
                if used.elapsed().is_ok_and(|age| age > UNFINISHED_LIMIT) {
                    let _ = fs::remove_file(entry.path());
                }
            } else if metadata.is_file() && is_ours(&name) {
                kept.push((used, metadata.len(), entry.path()));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in kept {
            if total <= limit {
                break;
            }
            remove(&path)?;
            total -= size;
        }
        Ok(())
    }
}

/// Whether this is the name of something that is kept: a directory of somebody's else's is not cleared.
fn is_ours(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SIZE: u64 = 64 << 10;

    fn key(uri: &str) -> CacheKey {
        CacheKey::of(uri, Some("\"t\""), SIZE).expect("a key")
    }

    fn content(byte: u8) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![byte; SIZE as usize]).expect("written");
        file.rewind().expect("at its beginning");
        file
    }

    fn copied(cache: &Cache, uri: &str) -> Option<Vec<u8>> {
        cache.find(&key(uri)).expect("looked").map(|mut kept| {
            let mut content = Vec::new();
            kept.read_to_end(&mut content).expect("read");
            content
        })
    }

    #[test]
    fn what_is_kept_is_what_it_was_and_of_its_version_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path().join("cache"), 10 * SIZE);
        assert_eq!(copied(&cache, "s3://b/a"), None);
        cache.keep(&key("s3://b/a"), content(1)).expect("kept");
        assert_eq!(copied(&cache, "s3://b/a"), Some(vec![1; SIZE as usize]));
        let mode = fs::metadata(folder.path().join("cache")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_ne!(key("s3://b/a"), CacheKey::of("s3://b/a", Some("\"u\""), SIZE).expect("a key"));
        assert_eq!(CacheKey::of("s3://b/a", None, SIZE), None);
    }

    #[test]
    fn what_was_of_no_use_for_longest_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("somebody-elses"), "x").expect("written");
        let cache = Cache::new(folder.path().to_owned(), 2 * SIZE);
        for (age, uri) in [(3, "a"), (2, "b")] {
            cache.keep(&key(uri), content(1)).expect("kept");
            let file = File::options().write(true).open(folder.path().join(key(uri).name)).expect("there");
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(60 * age)).expect("aged");
        }
        assert!(copied(&cache, "a").is_some(), "of use just now");
        cache.keep(&key("c"), content(1)).expect("kept");
        assert_eq!(["a", "b", "c"].map(|uri| copied(&cache, uri).is_some()), [true, false, true]);
        assert!(folder.path().join("somebody-elses").exists());
        let large = CacheKey::of("large", Some("t"), 3 * SIZE).expect("a key");
        cache.keep(&large, content(1)).expect("left out");
        assert!(copied(&cache, "a").is_some());
    }

    #[test]
    fn a_file_that_was_cut_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path().to_owned(), 10 * SIZE);
        cache.keep(&key("a"), content(1)).expect("kept");
        fs::write(folder.path().join(key("a").name), "short").expect("cut");
        assert_eq!(copied(&cache, "a"), None);
    }
}
