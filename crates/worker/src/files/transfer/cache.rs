//! The cache of inputs on disk (`WORKER_BLOB_CACHE_DIR`).
//!
//! A task gets a copy, so that no handler can change a cached file. The copy costs nothing on file systems that share
//! blocks (btrfs, xfs). Several workers may share the directory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::time::SystemTime;

use crate::files::error::found;
use crate::files::settings::Cache;

/// The beginning of the names of copies that are being written.
const UNFINISHED: &str = "unfinished-";

/// The age of an unfinished copy from which on its process is taken for dead.
const UNFINISHED_LIMIT: std::time::Duration = std::time::Duration::from_secs(3600);

/// One version of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct CacheKey {
    name: String,
    size: u64,
}

impl CacheKey {
    /// Returns None for an object without an `ETag`, whose version is unknown, and for a small object, which is fetched as
    /// fast as copied.
    pub(in crate::files) fn of(endpoint: &str, uri: &str, etag: Option<&str>, size: u64) -> Option<Self> {
        const MIN_SIZE: u64 = 64 << 10;
        let etag = etag.filter(|_| size >= MIN_SIZE)?;
        let name = rxon::signing::digest(format!("{endpoint}\n{uri}\n{etag}\n{size}").as_bytes());
        Some(Self { name, size })
    }
}

impl Cache {
    /// Opens the cached file, to be copied. Blocks.
    pub(in crate::files) fn find(&self, key: &CacheKey) -> io::Result<Option<File>> {
        let Some(kept) = found(File::open(self.directory.join(&key.name)))? else { return Ok(None) };
        if kept.metadata()?.len() != key.size {
            return Ok(None);
        }
        // The time of the last use decides what is evicted.
        let _ = kept.set_modified(SystemTime::now());
        Ok(Some(kept))
    }

    /// Adds a copy of a file. Evicts the least recently used files if the cache is full. Blocks.
    pub(in crate::files) fn keep(&self, key: &CacheKey, mut file: File) -> io::Result<()> {
        if key.size > self.limit {
            return Ok(());
        }
        // The files of tasks are private to the worker's user, and so are their copies.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.evict(self.limit - key.size)?;
        let unfinished = self.directory.join(format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
        let copied = File::create_new(&unfinished).and_then(|mut copy| io::copy(&mut file, &mut copy));
        let named = copied.and_then(|bytes| {
            // The file may have changed while it was copied.
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

    /// Removes the least recently used files until at most this many bytes are left.
    fn evict(&self, limit: u64) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // Another worker may have evicted the file.
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
            // Another worker may have removed it.
            found(fs::remove_file(path))?;
            total -= size;
        }
        Ok(())
    }
}

/// Whether this is the name of a cached file. Other files in the directory are not removed.
fn is_ours(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SIZE: u64 = 64 << 10;

    fn key(uri: &str) -> CacheKey {
        CacheKey::of("http://s3", uri, Some("\"t\""), SIZE).expect("a key")
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
    fn a_cached_file_is_unchanged_and_found_by_its_version_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache { directory: folder.path().join("cache"), limit: 10 * SIZE };
        assert_eq!(copied(&cache, "s3://b/a"), None);
        cache.keep(&key("s3://b/a"), content(1)).expect("kept");
        assert_eq!(copied(&cache, "s3://b/a"), Some(vec![1; SIZE as usize]));
        let mode = fs::metadata(folder.path().join("cache")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_ne!(
            key("s3://b/a"),
            CacheKey::of("http://s3", "s3://b/a", Some("\"u\""), SIZE).expect("a key")
        );
        assert_eq!(CacheKey::of("http://s3", "s3://b/a", None, SIZE), None);
        // Another storage may have another object at the same address.
        assert_ne!(
            key("s3://b/a"),
            CacheKey::of("http://s4", "s3://b/a", Some("\"t\""), SIZE).expect("a key")
        );
    }

    #[test]
    fn the_least_recently_used_files_are_evicted() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("somebody-elses"), "x").expect("written");
        let cache = Cache { directory: folder.path().to_owned(), limit: 2 * SIZE };
        for (age, uri) in [(3, "a"), (2, "b")] {
            cache.keep(&key(uri), content(1)).expect("kept");
            let file = File::options().write(true).open(folder.path().join(key(uri).name)).expect("there");
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(60 * age)).expect("aged");
        }
        assert!(copied(&cache, "a").is_some(), "it was used just now");
        cache.keep(&key("c"), content(1)).expect("kept");
        assert_eq!(["a", "b", "c"].map(|uri| copied(&cache, uri).is_some()), [true, false, true]);
        assert!(folder.path().join("somebody-elses").exists());
        let large = CacheKey::of("http://s3", "large", Some("t"), 3 * SIZE).expect("a key");
        cache.keep(&large, content(1)).expect("left out");
        assert!(copied(&cache, "a").is_some());
    }

    #[test]
    fn a_truncated_file_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache { directory: folder.path().to_owned(), limit: 10 * SIZE };
        cache.keep(&key("a"), content(1)).expect("kept");
        fs::write(folder.path().join(key("a").name), "short").expect("cut");
        assert_eq!(copied(&cache, "a"), None);
    }
}
