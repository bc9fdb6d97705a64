//! Certificates that change on disk.
//!
//! They are looked at before each connection is made, and read again when they have changed: a rotation needs no
//! restart. Files that cannot be used, perhaps because only half of them is written yet, leave what was read before in
//! place until they change again or can be.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ClientConfig;

use super::tls::{InvalidTls, TlsSettings};
use crate::{Error, ErrorKind};

/// What tells that a file is not the one that was read.
type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

/// The TLS of one connector, as its files say it is.
#[derive(Clone)]
pub(super) struct Rotation {
    settings: TlsSettings,
    loaded: Arc<Mutex<Loaded>>,
}

struct Loaded {
    stamp: Stamp,
    config: Arc<ClientConfig>,
}

impl Rotation {
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, InvalidTls> {
        // Looked at first: a change while the files are read is seen at the next connection.
        let stamp = stamp(settings);
        let config = settings.client_config()?;
        Ok(Self { settings: settings.clone(), loaded: Arc::new(Mutex::new(Loaded { stamp, config })) })
    }

    /// What the next connection is made with.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if self.settings.files().next().is_none() {
            return Ok(self.read_before());
        }
        let rotation = self.clone();
        // A disk may take its time: not on the thread of the heartbeats.
        tokio::task::spawn_blocking(move || rotation.read())
            .await
            .map_err(|error| Error::new(ErrorKind::Tls, "reading the certificates").with_source(error))
    }

    fn read_before(&self) -> Arc<ClientConfig> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    fn read(&self) -> Arc<ClientConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.settings);
        if stamp != loaded.stamp
            && let Ok(config) = self.settings.client_config()
        {
            *loaded = Loaded { stamp, config };
        }
        loaded.config.clone()
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
    use testkit::Tls;

    use super::super::tls::ClientIdentity;
    use super::*;

    #[tokio::test]
    async fn changed_files_are_read_again_and_unusable_ones_are_not_taken() {
        let tls = Tls::new();
        let (first, second) = (tls.client("w"), tls.client("w"));
        let folder = tempfile::tempdir().expect("a folder");
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        std::fs::write(&cert, &first.certificate_pem).expect("written");
        std::fs::write(&key, &first.key_pem).expect("written");
        let identity = ClientIdentity { cert_path: Some(cert.clone()), key_path: Some(key.clone()) };
        let rotation =
            Rotation::new(&TlsSettings { identity, ..TlsSettings::default() }).expect("both are fine");
        let before = rotation.config().await.expect("read");
        assert!(Arc::ptr_eq(&before, &rotation.config().await.expect("read")), "nothing has changed");
        std::fs::write(&cert, &second.certificate_pem).expect("written");
        assert!(Arc::ptr_eq(&before, &rotation.config().await.expect("read")), "the key is another's");
        std::fs::write(&key, &second.key_pem).expect("written");
        let after = rotation.config().await.expect("read");
        assert!(!Arc::ptr_eq(&before, &after));
        std::fs::remove_file(&cert).expect("removed");
        assert!(Arc::ptr_eq(&after, &rotation.config().await.expect("read")), "half of it is gone");
    }
}
