//! TLS, with and without a client certificate.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use testkit::{ClientIdentity, Endpoint, Script, ScriptedOrchestrator, Tls};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;

async fn connect(
    orchestrator: &ScriptedOrchestrator,
    tls: &Tls,
    identity: Option<&ClientIdentity>,
    name: &'static str,
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let stream = TcpStream::connect(orchestrator.addr()).await.unwrap();
    let name = ServerName::try_from(name).unwrap();
    Ok(Client::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

#[tokio::test]
async fn the_certificate_is_good_for_both_names_of_this_host() {
    let tls = Tls::new();
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().tls(tls.server_config())).await;
    assert!(orchestrator.url().starts_with("https://127.0.0.1:"));
    for name in ["localhost", "127.0.0.1"] {
        let mut client = connect(&orchestrator, &tls, None, name).await.unwrap();
        assert_eq!(client.register("w1").await.status, 200);
        let big = " ".repeat(300_000);
        assert_eq!(client.post("/_worker/events", &big).await.status, 200);
    }
    assert!(connect(&orchestrator, &tls, None, "example.org").await.is_err());
    assert!(connect(&orchestrator, &Tls::new(), None, "localhost").await.is_err());
    assert_eq!(orchestrator.count(Endpoint::Register), 2);
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_the_authority() {
    let tls = Tls::new();
    let orchestrator =
        ScriptedOrchestrator::start_with(Script::newer().tls(tls.mutual_server_config())).await;
    let identity = tls.client("w1");
    let mut client = connect(&orchestrator, &tls, Some(&identity), "localhost").await.unwrap();
    assert_eq!(client.register("w1").await.status, 200);
    // With TLS 1.3 the client learns of the refusal only when it reads.
    let mut stranger = connect(&orchestrator, &tls, None, "localhost").await.unwrap();
    assert!(stranger.poll("w1").await.is_err());
}

#[tokio::test]
async fn a_reset_reaches_below_tls() {
    let tls = Tls::new();
    let orchestrator = ScriptedOrchestrator::start_with(Script::newer().tls(tls.server_config())).await;
    orchestrator.answer_next(Endpoint::Event, testkit::Answer::Reset);
    let mut client = connect(&orchestrator, &tls, None, "localhost").await.unwrap();
    let error = client.request("POST", "/_worker/events", "{}").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
