//! TLS: the trusted authorities, and the certificate of the client.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::pinned::Pinned;

/// The TLS settings of a connector. TLS is 1.2 or newer, and host names are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The PEM file of the trusted certificates, of authorities or of the server itself; without it, those of the system are
    /// trusted, or the bundled ones if the system has none.
    pub ca_path: Option<PathBuf>,
    /// Whether the authorities of the system are trusted beside those of `ca_path`.
    pub and_system: bool,
    /// The identity of the client, used if both of its files are set.
    pub identity: ClientIdentity,
}

/// The PEM files of a client's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate of the client, optionally followed by those of its authorities.
    pub cert_path: Option<PathBuf>,
    /// The key of the certificate, not encrypted.
    pub key_path: Option<PathBuf>,
}

/// The kind of a TLS file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// The trusted certificate authorities.
    Authorities,
    /// The certificate of the client.
    Certificate,
    /// The key of the certificate.
    Key,
}

/// A TLS setting that cannot be used. The content of a file is never part of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {setting} `{value}`: expected {expected}")]
pub struct InvalidTls {
    setting: &'static str,
    value: String,
    expected: String,
    file: Option<TlsFile>,
}

impl InvalidTls {
    pub(super) fn new(setting: &'static str, value: &str, expected: impl Into<String>) -> Self {
        Self { setting, value: value.to_owned(), expected: expected.into(), file: None }
    }

    fn of_file(file: TlsFile, path: &Path, reason: &str) -> Self {
        let (setting, expected) = match file {
            TlsFile::Authorities => ("CA file", "a file of PEM certificates"),
            TlsFile::Certificate => ("certificate file", "a file of PEM certificates"),
            TlsFile::Key => ("key file", "a file with a PEM key, not encrypted"),
        };
        let expected = format!("{expected} ({reason})");
        Self { file: Some(file), ..Self::new(setting, &path.display().to_string(), expected) }
    }

    /// Returns the kind of the wrong file, if the setting is a file.
    pub fn file(&self) -> Option<TlsFile> {
        self.file
    }

    /// Returns the expected value, and in brackets the problem.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl TlsSettings {
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, InvalidTls> {
        let builder = match &self.ca_path {
            Some(path) if self.and_system => trusting(system(), path)?,
            Some(path) => trusting(RootCertStore::empty(), path)?,
            None => builder()?.with_root_certificates(system()),
        };
        let config = match self.identity.load()? {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// Returns the files, which may change.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let ClientIdentity { cert_path, key_path } = &self.identity;
        [&self.ca_path, cert_path, key_path].into_iter().filter_map(Option::as_deref)
    }

    /// Reads the authorities once, to report problems at start.
    ///
    /// # Errors
    /// Returns [`InvalidTls`] when the file is not a file of PEM certificates.
    pub fn check(&self) -> Result<(), InvalidTls> {
        self.ca_path.as_deref().map_or(Ok(()), |path| trusting(RootCertStore::empty(), path).map(|_| ()))
    }
}

/// Trusts these authorities and the certificates of a file, which may be those of authorities or of the server itself.
fn trusting(
    mut roots: RootCertStore,
    path: &Path,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, InvalidTls> {
    let of_file =
        |reason: &dyn fmt::Display| InvalidTls::of_file(TlsFile::Authorities, path, &reason.to_string());
    let certificates = certificates(TlsFile::Authorities, path)?;
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| of_file(&error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let usual = usual.map_err(|error| of_file(&error))?;
    let verifier = Arc::new(Pinned { usual, certificates });
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier))
}

pub(super) fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, InvalidTls> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidTls::new("TLS versions", "1.2, 1.3", error.to_string()))
}

impl ClientIdentity {
    /// Loads the certificate that is shown to a server on request. Returns `None` unless both files are set.
    fn load(&self) -> Result<Option<CertifiedKey>, InvalidTls> {
        let (Some(cert_path), Some(key_path)) = (&self.cert_path, &self.key_path) else { return Ok(None) };
        let of_key = |reason| InvalidTls::of_file(TlsFile::Key, key_path, reason);
        let chain = client_chain(cert_path)?;
        let key = ring::sign::any_supported_type(&private_key(key_path)?)
            .map_err(|_| of_key("its kind of key is not supported"))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                Err(of_key(&format!("it is not the key of the certificate in `{}`", cert_path.display())))
            }
            // Some keys cannot be compared.
            Ok(()) | Err(_) => Ok(Some(certified)),
        }
    }

    /// Reads both files, to report problems at start. Also reads a certificate without a key, and a key without a
    /// certificate. Returns all problems, at most one for each file.
    pub fn check(&self) -> Vec<InvalidTls> {
        let chain = self.cert_path.as_deref().and_then(|path| client_chain(path).err());
        let key = self.key_path.as_deref().and_then(|path| private_key(path).err());
        let problems: Vec<_> = chain.into_iter().chain(key).collect();
        if problems.is_empty() { self.load().err().into_iter().collect() } else { problems }
    }
}

/// Reads the certificates of a client, its own first.
fn client_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let chain = certificates(TlsFile::Certificate, path)?;
    match ParsedCertificate::try_from(&chain[0]) {
        Ok(_) => Ok(chain),
        Err(_) => Err(InvalidTls::of_file(TlsFile::Certificate, path, "the certificate is damaged")),
    }
}

/// Reads the certificates of a file, at least one.
fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| InvalidTls::of_file(file, path, &reason(&error)))?;
    if certificates.is_empty() {
        return Err(InvalidTls::of_file(file, path, "the file contains none"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, InvalidTls> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| InvalidTls::of_file(TlsFile::Key, path, &reason(&error)))
}

/// Returns why a file could not be read, without the text of the library's error, which may quote a key.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "the file contains none".to_owned(),
        _ => "its PEM is damaged".to_owned(),
    }
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
    use testkit::Tls;

    use super::*;

    /// A folder with files of these contents.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        folder
    }

    fn problems(folder: &tempfile::TempDir, cert: Option<&str>, key: Option<&str>) -> Vec<(TlsFile, String)> {
        let path = |name: Option<&str>| name.map(|name| folder.path().join(name));
        let identity = ClientIdentity { cert_path: path(cert), key_path: path(key) };
        let errors = identity.check().into_iter();
        errors.map(|error| (error.file().expect("a file"), error.to_string())).collect()
    }

    #[test]
    fn a_file_that_is_not_a_certificate_is_named() {
        let missing = TlsSettings { ca_path: Some("/no/such/ca.pem".into()), ..TlsSettings::default() };
        let error = missing.check().expect_err("there is no such file");
        assert_eq!(error.file(), Some(TlsFile::Authorities));
        let error = error.to_string();
        assert!(error.contains("/no/such/ca.pem") && error.contains("PEM"), "{error}");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let not_pem = TlsSettings { ca_path: Some(manifest.into()), ..TlsSettings::default() };
        assert!(not_pem.check().expect_err("no PEM in it").to_string().contains("the file contains none"));
        assert_eq!(TlsSettings::default().check(), Ok(()));
    }

    #[test]
    fn a_certificate_and_its_key_are_fine_alone_and_together() {
        let client = Tls::new().client("w");
        let folder = folder(&[("cert", &client.certificate_pem), ("key", &client.key_pem)]);
        for (cert, key) in
            [(Some("cert"), Some("key")), (Some("cert"), None), (None, Some("key")), (None, None)]
        {
            assert_eq!(problems(&folder, cert, key), []);
        }
    }

    #[test]
    fn every_wrong_file_is_named() {
        let tls = Tls::new();
        let (client, other) = (tls.client("w"), tls.client("other"));
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let folder = folder(&[
            ("cert", &client.certificate_pem),
            ("key", &client.key_pem),
            ("other", &other.key_pem),
            ("encrypted", encrypted),
            ("garbled", garbled),
            ("text", "hello"),
        ]);
        let (of_certificate, of_key) = (TlsFile::Certificate, TlsFile::Key);
        for (cert, key, expected) in [
            ("cert", "other", &[(of_key, "is not the key of the certificate in")][..]),
            ("cert", "encrypted", &[(of_key, "not encrypted (the file contains none)")]),
            ("garbled", "key", &[(of_certificate, "the certificate is damaged")]),
            (
                "key",
                "cert",
                &[(of_certificate, "the file contains none"), (of_key, "the file contains none")],
            ),
            ("text", "missing", &[(of_certificate, "the file contains none"), (of_key, "No such file")]),
        ] {
            let problems = problems(&folder, Some(cert), Some(key));
            assert_eq!(problems.len(), expected.len(), "{cert} {key}: {problems:?}");
            for ((file, text), (expected_file, words)) in problems.iter().zip(expected) {
                assert!(file == expected_file && text.contains(words), "{cert} {key}: {text}");
            }
        }
        for wrong in ["text", "garbled", "key", "missing"] {
            assert_eq!(problems(&folder, Some(wrong), None).len(), 1, "{wrong}");
        }
        assert_eq!(problems(&folder, None, Some("cert")).len(), 1);
    }

    #[test]
    fn no_part_of_a_damaged_file_is_quoted() {
        let folder = folder(&[("key", "-----BEGIN PRIVATE KEY of-secret\nsecret!\n-----BEGIN secret\n")]);
        let key = problems(&folder, None, Some("key"));
        let authorities = TlsSettings { ca_path: Some(folder.path().join("key")), ..TlsSettings::default() };
        let authorities = authorities.check().expect_err("it is damaged").to_string();
        assert!(key[0].1.contains("damaged") && authorities.contains("damaged"), "{key:?} {authorities}");
        assert!(!format!("{key:?} {authorities}").contains("secret"), "{key:?} {authorities}");
    }
}
