//! Whom to trust.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// TLS of one connector: 1.2 or newer, host names always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the only certificate authorities that are trusted; without it the system's, or the bundled ones
    /// where the system has none.
    pub ca_path: Option<PathBuf>,
}

/// A setting of TLS that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTls {
    what: &'static str,
    value: String,
    expected: String,
}

impl InvalidTls {
    pub(super) fn new(what: &'static str, value: &str, expected: impl Into<String>) -> Self {
        Self { what, value: value.to_owned(), expected: expected.into() }
    }
}

impl fmt::Display for InvalidTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the {} `{}`: expected {}", self.what, self.value, self.expected)
    }
}

impl std::error::Error for InvalidTls {}

impl TlsSettings {
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, InvalidTls> {
        let roots = match &self.ca_path {
            Some(path) => pinned(path)?,
            None => system(),
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidTls::new("TLS versions", "1.2, 1.3", error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// Reads the certificates once, to find out at start what is wrong with them.
    ///
    /// # Errors
    /// [`InvalidTls`] when a file cannot be read as what it should be.
    pub fn check(&self) -> Result<(), InvalidTls> {
        self.ca_path.as_deref().map_or(Ok(()), |path| pinned(path).map(|_| ()))
    }
}

fn pinned(path: &Path) -> Result<RootCertStore, InvalidTls> {
    let invalid = |problem: String| {
        InvalidTls::new("CA file", &path.display().to_string(), format!("PEM certificates ({problem})"))
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| invalid(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() { Err(invalid("there is none in it".to_owned())) } else { Ok(roots) }
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let missing = TlsSettings { ca_path: Some("/no/such/ca.pem".into()) };
        let error = missing.check().expect_err("there is no such file").to_string();
        assert!(error.contains("/no/such/ca.pem") && error.contains("PEM"), "{error}");
        let not_pem =
            TlsSettings { ca_path: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()) };
        assert!(not_pem.check().expect_err("no PEM in it").to_string().contains("there is none in it"));
        assert_eq!(TlsSettings::default().check(), Ok(()));
    }
}
