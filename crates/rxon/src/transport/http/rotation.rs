//! Certificates that change on disk.
//!
//! They are looked at before each connection is made, and read again when they have changed: a rotation needs no
//! restart. Files that cannot be used, perhaps because only half of them is written yet, leave what was read before in
//! place until they change again or can be.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;

use super::tls::{InvalidTls, TlsSettings};
use crate::{Error, ErrorKind};

/// A disk that has not answered by then is not waited for.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// What tells that a file is not the one that was read.
type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

/// The TLS of one connector, as its files say it is.
#[derive(Clone)]
pub(super) struct Rotation {
    settings: TlsSettings,
    on_unusable: Option<fn(&InvalidTls)>,
    loaded: Arc<Mutex<Loaded>>,
    /// Held by whoever looks: a disk that never answers costs one thread.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Loaded {
    stamp: Stamp,
    config: Arc<ClientConfig>,
    /// Of files that could not be used, and whether that was said.
    unusable: Option<(Stamp, bool)>,
}

impl Rotation {
    /// Files that changed and cannot be used are told to `on_unusable`, once for each change.
    pub(super) fn new(
        settings: &TlsSettings,
        on_unusable: Option<fn(&InvalidTls)>,
    ) -> Result<Self, InvalidTls> {
        // Looked at first: a change while the files are read is seen at the next connection.
        let stamp = stamp(settings);
        let config = settings.client_config()?;
        let loaded = Arc::new(Mutex::new(Loaded { stamp, config, unusable: None }));
        Ok(Self { settings: settings.clone(), on_unusable, loaded, turn: Arc::default() })
    }

    /// Whether there is anything that can change.
    pub(super) fn has_files(&self) -> bool {
        self.settings.files().next().is_some()
    }

    /// What the next connection is made with. While the disk does not answer, what was read before.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if !self.has_files() {
            return Ok(self.read_before());
        }
        let looking = async {
            let (rotation, turn) = (self.clone(), self.turn.clone().lock_owned().await);
            // A disk may take its time: not on the thread of the heartbeats.
            let read = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                rotation.read();
            });
            read.await
                .map_err(|error| Error::new(ErrorKind::Tls, "reading the certificates").with_source(error))
        };
        if let Ok(read) = tokio::time::timeout(LOOK_LIMIT, looking).await {
            read?;
        }
        Ok(self.read_before())
    }

    pub(super) fn read_before(&self) -> Arc<ClientConfig> {
        self.loaded().config.clone()
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks. What was read before can be had meanwhile.
    fn read(&self) {
        let stamp = stamp(&self.settings);
        if stamp == self.loaded().stamp {
            return;
        }
        let read = self.settings.client_config();
        let mut loaded = self.loaded();
        match read {
            Ok(config) => *loaded = Loaded { stamp, config, unusable: None },
            Err(error) => self.unusable(&mut loaded, stamp, &error),
        }
    }

    /// Said only when it is found like that again: at first, half of it may not be written yet.
    fn unusable(&self, loaded: &mut Loaded, stamp: Stamp, error: &InvalidTls) {
        match &mut loaded.unusable {
            Some((known, said)) if *known == stamp => {
                if let Some(tell) = self.on_unusable.filter(|_| !std::mem::replace(said, true)) {
                    tell(error);
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

    static TOLD: AtomicUsize = AtomicUsize::new(0);

    fn count(_: &InvalidTls) {
        TOLD.fetch_add(1, Ordering::SeqCst);
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
        assert_eq!(TOLD.load(Ordering::SeqCst), 0, "it may be half written");
        for _ in 0..3 {
            rotation.config().await.expect("read");
            assert_eq!(TOLD.load(Ordering::SeqCst), 1, "once");
        }
        std::fs::write(&key, &second.key_pem).expect("written");
        let after = rotation.config().await.expect("read");
        assert!(!Arc::ptr_eq(&before, &after));
        std::fs::remove_file(&cert).expect("removed");
        assert!(Arc::ptr_eq(&after, &rotation.config().await.expect("read")), "half of it is gone");
    }

    /// A pipe that nobody writes to is as silent as a disk that is gone.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_disk_that_does_not_answer_is_not_waited_for() {
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
            let limited = tokio::time::timeout(3 * LOOK_LIMIT, rotation.config()).await;
            let config = limited.expect("not waited for").expect("what was read before");
            assert!(Arc::ptr_eq(&before, &config));
        }
        assert!(rotation.turn.try_lock().is_err(), "the one that looks still does");
        // It ends with the test.
        std::fs::write(&cert, &client.certificate_pem).expect("written to the pipe");
    }
}
