//! Certificates for tests of TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A certificate authority, and a server certificate for `localhost` and 127.0.0.1 that it has signed.
#[derive(Debug)]
pub struct Tls {
    authority: CertificateDer<'static>,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    server: (CertificateDer<'static>, KeyPair),
    server_pem: String,
}

/// The certificate and key that a client uses in mutual TLS, both as PEM.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate, whose common name is the worker's id.
    pub certificate_pem: String,
    /// Its private key (PKCS #8).
    pub key_pem: String,
}

impl Tls {
    /// Makes new keys and certificates.
    ///
    /// # Panics
    /// If there is no randomness to make keys from.
    #[expect(clippy::new_without_default, reason = "making keys is work, not a default value")]
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// Makes new keys and certificates, with a server certificate that expired at the end of 2020.
    ///
    /// # Panics
    /// Like [`Tls::new`].
    pub fn expired() -> Self {
        Self::with(expire)
    }

    /// Makes a certificate that the server has signed itself, which is also its authority. `can_sign` sets the flag of an
    /// authority, as `openssl req -x509` does.
    ///
    /// # Panics
    /// Like [`Tls::new`].
    pub fn self_signed(can_sign: bool) -> Self {
        Self::alone(|params| {
            if can_sign {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
        })
    }

    /// Makes a certificate like [`Tls::self_signed`] that can sign others and expired at the end of 2020.
    ///
    /// # Panics
    /// Like [`Tls::new`].
    pub fn expired_self_signed() -> Self {
        Self::alone(|params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            expire(params);
        })
    }

    fn alone(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = server_params();
        change(&mut params);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.self_signed(&key).expect("valid parameters");
        Self {
            ca_pem: certificate.pem(),
            authority: certificate.der().clone(),
            // It signs nothing.
            issuer: Issuer::new(params, KeyPair::generate().expect("randomness")),
            server_pem: certificate.pem(),
            server: (certificate.der().clone(), key),
        }
    }

    fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("testkit authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("randomness");
        let authority = params.self_signed(&key).expect("valid parameters");
        let issuer = Issuer::new(params, key);
        let mut params = server_params();
        change(&mut params);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &issuer).expect("valid parameters");
        Self {
            ca_pem: authority.pem(),
            authority: authority.der().clone(),
            issuer,
            server_pem: certificate.pem(),
            server: (certificate.der().clone(), key),
        }
    }

    /// The certificate of the authority as PEM, which clients have to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The certificate of the server and its key (PKCS #8) as PEM, for a server in another program.
    pub fn server_pem(&self) -> (String, String) {
        (self.server_pem.clone(), self.server.1.serialize_pem())
    }

    /// The configuration of a server that asks for no client certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.finish(config().with_no_client_auth())
    }

    /// The configuration of a server that refuses clients without a certificate of this authority.
    ///
    /// # Panics
    /// Never: the authority's certificate is valid.
    pub fn mutual_server_config(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).expect("a valid certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .expect("there is a root");
        self.finish(config().with_client_cert_verifier(verifier))
    }

    /// Makes a client certificate with this common name, signed by this authority.
    ///
    /// # Panics
    /// If there is no randomness to make keys from.
    pub fn client(&self, common_name: &str) -> ClientIdentity {
        self.client_with(common_name, |_| {})
    }

    /// Makes a client certificate that expired at the end of 2020.
    ///
    /// # Panics
    /// Like [`Tls::client`].
    pub fn expired_client(&self, common_name: &str) -> ClientIdentity {
        self.client_with(common_name, expire)
    }

    fn client_with(&self, common_name: &str, change: impl FnOnce(&mut CertificateParams)) -> ClientIdentity {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name);
        change(&mut params);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("valid parameters");
        ClientIdentity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    fn finish(
        &self,
        config: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> Arc<ServerConfig> {
        let (certificate, key) = &self.server;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = config.with_single_cert(vec![certificate.clone()], key);
        Arc::new(config.expect("a key that fits its certificate"))
    }
}

fn server_params() -> CertificateParams {
    let names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
    let mut params = CertificateParams::new(names).expect("valid names");
    params.distinguished_name = name("localhost");
    params
}

fn expire(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 12, 31);
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Names the provider explicitly: a test fixture must not set the default of the process.
fn config() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the versions of this provider")
}
