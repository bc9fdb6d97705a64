//! A TLS proxy in front of a server without TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// The proxy. Dropping it closes it.
pub(crate) struct Door {
    port: u16,
    _connections: JoinSet<()>,
}

impl Door {
    /// Makes all keys and certificates, writes those of the worker to `folder`, and forwards connections of clients
    /// that have a certificate.
    pub(crate) async fn open(folder: &Path, behind: SocketAddr) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = authority.self_signed(&key)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone())?;
        std::fs::write(folder.join("ca.pem"), certificate.pem())?;
        let issuer = Issuer::new(authority, key);

        let mut worker = CertificateParams::default();
        // Orchestrators take the common name as the worker's id.
        worker.distinguished_name.push(DnType::CommonName, "worker-1");
        let worker_key = KeyPair::generate()?;
        std::fs::write(folder.join("worker.pem"), worker.signed_by(&worker_key, &issuer)?.pem())?;
        std::fs::write(folder.join("worker.key"), worker_key.serialize_pem())?;

        let server_key = KeyPair::generate()?;
        let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&server_key, &issuer)?;
        let server_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.der().clone()], server_key)?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), behind));
        Ok(Self { port, _connections: connections })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    let mut through = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        through.spawn(async move {
            // The handshake fails for clients without a certificate.
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let Ok(mut inside) = TcpStream::connect(behind).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
