//! TLS: trusted authorities, and certificates of the client.

use std::io::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use rxon::transport::http::{ClientSettings, HttpClient, Proxies, TlsSettings};
use rxon::transport::{Connector, Opened, Operation};
use rxon::{ErrorKind, ExchangeProgress};
use tempfile::NamedTempFile;
use testkit::{Answer, Endpoint, Script, ScriptedOrchestrator, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::LARGE;
use crate::client::{Client, LONG, fail, request, send};

async fn orchestrator(tls: &Tls) -> ScriptedOrchestrator {
    ScriptedOrchestrator::start_with(Script::newer().tls(tls.server_config())).await
}

fn pem(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn the_pinned_authority_is_trusted_by_address_and_by_name() {
    let tls = Tls::new();
    let (orchestrator, ca) = (orchestrator(&tls).await, pem(tls.ca_pem()));
    let by_name = format!("https://localhost:{}/prefix", orchestrator.addr().port());
    for url in [orchestrator.url(), by_name] {
        let mut transport = Client::at(&url).trusting(ca.path()).transport();
        for _ in 0..2 {
            assert_eq!(send(&mut *transport).await.expect(&url).status, 200);
        }
        let body = vec![b' '; LARGE];
        orchestrator.answer_next(Endpoint::Event, Answer::status(413));
        let response = transport.exchange(request(Operation::Event, body)).await.expect(&url);
        assert_eq!(response.status, 413);
    }
    let seen = orchestrator.requests(Endpoint::Result);
    assert_eq!(seen.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(orchestrator.requests(Endpoint::Event)[1].body.len(), LARGE);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_before_anything_is_sent() {
    let tls = Tls::new();
    let (orchestrator, other) = (orchestrator(&tls).await, pem(Tls::new().ca_pem()));
    for client in [Client::of(&orchestrator), Client::of(&orchestrator).trusting(other.path())] {
        let error = fail(&mut *client.transport()).await;
        assert_eq!(
            (error.kind(), error.progress()),
            (ErrorKind::Tls, ExchangeProgress::default()),
            "{error:?}"
        );
        assert!(error.is_retryable() && !error.is_ambiguous());
        let text = error.chain().to_string();
        assert!(text.contains(&orchestrator.url()) && text.contains("certificate"), "{text}");
    }
    assert_eq!(orchestrator.count(Endpoint::Result), 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let tls = Tls::new();
    let bind = "127.0.0.2:0".parse().unwrap();
    let script = Script { bind, ..Script::newer().tls(tls.server_config()) };
    let (elsewhere, ca) = (ScriptedOrchestrator::start_with(script).await, pem(tls.ca_pem()));
    let error = fail(&mut *Client::of(&elsewhere).trusting(ca.path()).transport()).await;
    assert_eq!((error.kind(), error.progress()), (ErrorKind::Tls, ExchangeProgress::default()), "{error:?}");
    assert!(error.chain().to_string().contains("not valid for name"), "{}", error.chain());
}

#[tokio::test]
async fn a_server_may_show_the_trusted_certificate_itself() {
    for can_sign in [true, false] {
        let tls = Tls::self_signed(can_sign);
        let (orchestrator, ca) = (orchestrator(&tls).await, pem(tls.ca_pem()));
        let by_name = format!("https://localhost:{}/prefix", orchestrator.addr().port());
        for url in [orchestrator.url(), by_name] {
            let mut transport = Client::at(&url).trusting(ca.path()).transport();
            assert_eq!(send(&mut *transport).await.expect(&url).status, 200);
        }
        let client = Client::of(&orchestrator).trusting(ca.path());
        assert!(matches!(client.connector().channel().await, Ok(Opened::Channel(_))), "{can_sign}");
        let other = pem(Tls::self_signed(can_sign).ca_pem());
        let error = fail(&mut *Client::of(&orchestrator).trusting(other.path()).transport()).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "another certificate for the same name: {error:?}");
    }
}

#[tokio::test]
async fn names_and_times_of_a_trusted_certificate_count() {
    let tls = Tls::self_signed(true);
    let script = Script { bind: "127.0.0.2:0".parse().unwrap(), ..Script::newer().tls(tls.server_config()) };
    let elsewhere = ScriptedOrchestrator::start_with(script).await;
    let expired = Tls::expired_self_signed();
    let over = orchestrator(&expired).await;
    for (server, tls, words) in [(elsewhere, tls, "not valid for name"), (over, expired, "expired")] {
        let ca = pem(tls.ca_pem());
        let error = fail(&mut *Client::of(&server).trusting(ca.path()).transport()).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
        assert!(error.chain().to_string().contains(words), "{}", error.chain());
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_named() {
    let plain = ScriptedOrchestrator::start().await;
    let error = fail(&mut *Client::at(&format!("https://{}", plain.addr())).transport()).await;
    assert_eq!((error.kind(), error.progress()), (ErrorKind::Tls, ExchangeProgress::default()), "{error:?}");
    assert!(error.to_string().contains("must begin with `http://`"), "{error}");
    let tls = Tls::new();
    let secure = orchestrator(&tls).await;
    let error = fail(&mut *Client::at(&format!("http://{}", secure.addr())).transport()).await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(error.to_string().contains("must begin with `https://`"), "{error}");
}

/// The storage is reached by the client for any server.
#[tokio::test]
async fn the_wrong_scheme_is_named_by_the_client_for_any_server_too() {
    let client = HttpClient::<Full<Bytes>>::new(ClientSettings {
        tls: TlsSettings::default(),
        proxies: Proxies::default(),
        user_agent: "test",
        standstill_limit: LONG,
        on_unusable_files: None,
    });
    let (client, plain, tls) = (client.unwrap(), ScriptedOrchestrator::start().await, Tls::new());
    let secure = orchestrator(&tls).await;
    for (address, kind, scheme) in [
        (format!("https://{}/", plain.addr()), ErrorKind::Tls, "`http://`"),
        (format!("http://{}/", secure.addr()), ErrorKind::Protocol, "`https://`"),
    ] {
        let request = http::Request::get(&address).body(Full::default()).unwrap();
        let error = client.send(request).await.expect_err(&address);
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(&format!("must begin with {scheme}")), "{error}");
    }
}

/// Python's TLS servers do so.
#[tokio::test]
async fn a_server_that_expects_tls_and_closes_without_a_word_is_named() {
    for (reply, expected) in
        [(&b"\x15\x03\x03\0\x02\x02\x28"[..], ErrorKind::Protocol), (b"HTTP", ErrorKind::Closed)]
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = async {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut read = [0; 1000];
                let length = stream.read(&mut read).await.expect("a request");
                if read[..length].starts_with(&[0x16, 0x03]) {
                    stream.write_all(reply).await.expect("written");
                }
            }
        };
        let client = async {
            let mut transport = Client::at(&format!("http://{address}")).transport();
            let registration = request(Operation::Register, "{}");
            let error = transport.exchange(registration).await.expect_err("it closes");
            assert_eq!(error.kind(), expected, "{error:?}");
            assert!(error.progress().written && error.is_ambiguous(), "{error:?}");
        };
        tokio::select! {
            () = server => {}
            () = client => {}
        }
    }
}

#[tokio::test]
async fn a_missing_client_certificate_is_named() {
    let tls = Tls::new();
    let script = Script::newer().tls(tls.mutual_server_config());
    let (orchestrator, ca) = (ScriptedOrchestrator::start_with(script).await, pem(tls.ca_pem()));
    let error = fail(&mut *Client::of(&orchestrator).trusting(ca.path()).transport()).await;
    // With TLS 1.3 the client has finished its handshake when the refusal arrives in place of an answer.
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    assert!(error.chain().to_string().to_lowercase().contains("certificate"), "{}", error.chain());
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_the_next_connection_the_one_that_replaced_it() {
    let (old, new) = (Tls::new(), Tls::new());
    let before = ScriptedOrchestrator::start_with(Script::newer().tls(old.mutual_server_config())).await;
    let after = ScriptedOrchestrator::start_with(Script::newer().tls(new.mutual_server_config())).await;
    let both = pem(&format!("{}{}", old.ca_pem(), new.ca_pem()));
    let identity = old.client("w");
    let (certificate, key) = (pem(&identity.certificate_pem), pem(&identity.key_pem));
    let at = |orchestrator: &ScriptedOrchestrator| {
        let client = Client::of(orchestrator).trusting(both.path());
        client.proving(certificate.path(), key.path()).connector()
    };
    let (to_before, to_after) = (at(&before), at(&after));
    assert_eq!(send(&mut *to_before.transport()).await.expect("accepted").status, 200);
    assert_eq!(fail(&mut *to_after.transport()).await.kind(), ErrorKind::Tls, "of another authority");
    let identity = new.client("w");
    std::fs::write(certificate.path(), &identity.certificate_pem).unwrap();
    std::fs::write(key.path(), &identity.key_pem).unwrap();
    assert_eq!(send(&mut *to_after.transport()).await.expect("accepted").status, 200);
    assert_eq!(fail(&mut *to_before.transport()).await.kind(), ErrorKind::Tls, "of another authority now");
}

/// An open connection is replaced by one with the new certificate, without a failed exchange.
#[tokio::test]
async fn an_open_connection_is_replaced_after_a_change_of_certificate() {
    let tls = Tls::new();
    let orchestrator =
        ScriptedOrchestrator::start_with(Script::newer().tls(tls.mutual_server_config())).await;
    let (ca, identity) = (pem(tls.ca_pem()), tls.client("w"));
    let (certificate, key) = (pem(&identity.certificate_pem), pem(&identity.key_pem));
    let client = Client::of(&orchestrator).trusting(ca.path());
    let connector = client.proving(certificate.path(), key.path()).connector();
    let mut transport = connector.transport();
    for _ in 0..3 {
        assert_eq!(send(&mut *transport).await.expect("accepted").status, 200);
    }
    assert_eq!(orchestrator.connections_accepted(), 1);
    let identity = tls.client("w");
    std::fs::write(certificate.path(), &identity.certificate_pem).unwrap();
    std::fs::write(key.path(), &identity.key_pem).unwrap();
    let began = testkit::Stopwatch::start();
    while orchestrator.connections_accepted() == 1 {
        let took = began.took();
        assert!(
            took.is_below(std::time::Duration::from_secs(10)),
            "the files are checked once a second: {took:?}"
        );
        assert_eq!(send(&mut *transport).await.expect("accepted").status, 200);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for _ in 0..3 {
        assert_eq!(send(&mut *transport).await.expect("accepted").status, 200);
    }
    assert_eq!(orchestrator.connections_accepted(), 2, "once");
}

#[tokio::test]
async fn a_file_without_certificates_is_an_error_before_anything_is_connected() {
    let orchestrator = ScriptedOrchestrator::start().await;
    let url = format!("https://{}", orchestrator.addr());
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let file = pem(text);
        let client = Client::at(&url).trusting(file.path());
        let error = client.try_connector().expect_err(text).to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
    assert_eq!(orchestrator.connections_accepted(), 0);
}
