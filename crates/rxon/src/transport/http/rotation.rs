//! Rotation of certificates on disk.
//!
//! The files are checked before each connection and read again when they have changed, so a rotation needs no restart.
//! While new files cannot be used, perhaps because they are still being written, the previous configuration stays.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;

use super::tls::{InvalidTls, TlsSettings};
use crate::error::{Error, ErrorKind};
use crate::limit::within;

/// The longest wait for the disk.
const CHECK_TIME_LIMIT: Duration = Duration::from_secs(1);

/// The state of the files by which a change is noticed: time of modification, length and inode of each.
type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

/// The TLS configuration of one connector, as in its files.
#[derive(Clone)]
pub(super) struct Rotation {
    settings: TlsSettings,
    on_unusable: Option<fn(&InvalidTls)>,
    loaded: Arc<Mutex<Loaded>>,
    /// Held during a check, so that a disk that never answers occupies one thread only.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Loaded {
    stamp: Stamp,
    config: Arc<ClientConfig>,
    /// The stamp of files that cannot be used, and whether `on_unusable` was called.
    unusable: Option<(Stamp, bool)>,
}

impl Rotation {
    /// Calls `on_unusable` once for each change that leaves the files unusable.
    pub(super) fn new(
        settings: &TlsSettings,
        on_unusable: Option<fn(&InvalidTls)>,
    ) -> Result<Self, InvalidTls> {
        // Stamped first, so that a change while the files are read is seen at the next connection.
        let stamp = stamp(settings);
        let config = settings.client_config()?;
        let loaded = Arc::new(Mutex::new(Loaded { stamp, config, unusable: None }));
        Ok(Self { settings: settings.clone(), on_unusable, loaded, turn: Arc::default() })
    }

    /// Returns whether there are files that can change.
    pub(super) fn has_files(&self) -> bool {
        self.settings.files().next().is_some()
    }

    /// Returns the configuration of the next connection; the current one while the disk does not answer.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if !self.has_files() {
            return Ok(self.current());
        }
        let checking = async {
            let (rotation, turn) = (self.clone(), self.turn.clone().lock_owned().await);
            // A slow disk must not block the thread of the heartbeats.
            let read = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                rotation.read();
            });
            read.await
                .map_err(|error| Error::new(ErrorKind::Tls, "reading the certificates").with_source(error))
        };
        if let Ok(read) = within(CHECK_TIME_LIMIT, checking).await {
            read?;
        }
        Ok(self.current())
    }

    pub(super) fn current(&self) -> Arc<ClientConfig> {
        self.loaded().config.clone()
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files if they have changed. Blocks, without holding the lock while it reads.
    fn read(&self) {
        let stamp = stamp(&self.settings);
        if stamp == self.loaded().stamp {
            return;
        }
        let error = match self.settings.client_config() {
            Ok(config) => {
                *self.loaded() = Loaded { stamp, config, unusable: None };
                return;
            }
            Err(error) => error,
        };
        match &mut self.loaded().unusable {
            // Reported when found unusable for the second time: at the first, they may be half written.
            Some((known, reported)) if *known == stamp => {
                if let Some(report) = self.on_unusable.filter(|_| !std::mem::replace(reported, true)) {
                    report(&error);
                }
            }
            unusable => *unusable = Some((stamp, false)),
        }
    }
}

fn stamp(settings: &TlsSettings) -> Stamp {
    settings.files().map(|path| of_file(path).ok()).collect()
}

fn of_file(path: &Path) -> std::io::Result<(SystemTime, u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.modified()?, metadata.len(), inode(&metadata)))
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use testkit::Tls;

    use super::super::tls::ClientIdentity;
    use super::*;

    static REPORTED: AtomicUsize = AtomicUsize::new(0);

    fn count(_: &InvalidTls) {
        REPORTED.fetch_add(1, Ordering::SeqCst);
    }

    #[tokio::test]
    async fn changed_files_are_read_again_and_unusable_ones_are_not_taken() {
        let tls = Tls::new();
        let (first, second) = (tls.client("w"), tls.client("w"));
        let folder = tempfile::tempdir().expect("a folder");
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        std::fs::write(&cert, &first.certificate_pem).expect("written");
        std::fs::write(&key, &first.key_pem).expect("written");
        let identity = ClientIdentity { cert_path: Some(cert.clone()), key_path: Some(key.clone()) };
        let rotation = Rotation::new(&TlsSettings { identity, ..TlsSettings::default() }, Some(count))
            .expect("both are fine");
        let before = rotation.config().await.expect("read");
        assert!(Arc::ptr_eq(&before, &rotation.config().await.expect("read")), "nothing has changed");
        std::fs::write(&cert, &second.certificate_pem).expect("written");
        assert!(Arc::ptr_eq(&before, &rotation.config().await.expect("read")), "the key is another's");
        assert_eq!(REPORTED.load(Ordering::SeqCst), 0, "the files may be half written");
        for _ in 0..3 {
            rotation.config().await.expect("read");
            assert_eq!(REPORTED.load(Ordering::SeqCst), 1, "once");
        }
        std::fs::write(&key, &second.key_pem).expect("written");
        let after = rotation.config().await.expect("read");
        assert!(!Arc::ptr_eq(&before, &after));
        std::fs::remove_file(&cert).expect("removed");
        assert!(Arc::ptr_eq(&after, &rotation.config().await.expect("read")), "half of it is gone");
    }

    /// A pipe without a writer is as silent as a lost disk.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_disk_that_does_not_answer_holds_up_nothing() {
        let client = Tls::new().client("w");
        let folder = tempfile::tempdir().expect("a folder");
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        std::fs::write(&cert, &client.certificate_pem).expect("written");
        std::fs::write(&key, &client.key_pem).expect("written");
        let identity = ClientIdentity { cert_path: Some(cert.clone()), key_path: Some(key) };
        let rotation =
            Rotation::new(&TlsSettings { identity, ..TlsSettings::default() }, None).expect("both are fine");
        let before = rotation.config().await.expect("read");
        std::fs::remove_file(&cert).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(&cert).status().expect("there is `mkfifo`");
        assert!(made.success());
        for _ in 0..2 {
            let limited = tokio::time::timeout(3 * CHECK_TIME_LIMIT, rotation.config()).await;
            let config = limited.expect("no longer than the limit").expect("the current configuration");
            assert!(Arc::ptr_eq(&before, &config));
        }
        assert!(rotation.turn.try_lock().is_err(), "the check still waits");
        // Ends the check with the test.
        std::fs::write(&cert, &client.certificate_pem).expect("written to the pipe");
    }
}
