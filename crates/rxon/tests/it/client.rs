//! Connectors for tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rxon::transport::http::{
    ClientIdentity, HttpConnector, HttpSettings, InvalidTls, Proxies, TlsSettings, Token,
};
use rxon::transport::{Connector as _, Operation, PollQuery, Request, Response, Transport};
use rxon::{Error, WorkerId};
use testkit::ScriptedOrchestrator;

/// A time limit far above the duration of an exchange over loopback.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The token of every request, which must never be printed.
pub(crate) const TOKEN: &str = "hunter2-token";

/// The settings of an HTTP connector, changed before the connector is created.
pub(crate) struct Client {
    settings: HttpSettings,
}

impl Client {
    pub(crate) fn at(url: &str) -> Self {
        let settings = HttpSettings {
            url: url.parse().expect(url),
            worker_id: WorkerId::new("worker_1-a").unwrap(),
            token: Token::new(TOKEN).unwrap(),
            tls: TlsSettings::default(),
            proxies: Proxies::default(),
            user_agent: "rxon-test/1",
            on_unusable_files: None,
        };
        Self { settings }
    }

    pub(crate) fn named(mut self, worker_id: WorkerId) -> Self {
        self.settings.worker_id = worker_id;
        self
    }

    pub(crate) fn of(orchestrator: &ScriptedOrchestrator) -> Self {
        Self::at(&orchestrator.url())
    }

    /// Sets the proxies in these variables.
    pub(crate) fn through(mut self, variables: &[(&str, &str)]) -> Self {
        let value = |name: &str| {
            variables.iter().find_map(|(key, value)| (*key == name).then(|| (*value).to_owned()))
        };
        self.settings.proxies = Proxies::read(value).unwrap();
        self
    }

    pub(crate) fn trusting(mut self, ca: &std::path::Path) -> Self {
        self.settings.tls.ca_path = Some(ca.to_owned());
        self
    }

    /// Sets the files of the client's identity.
    pub(crate) fn proving(mut self, certificate: &std::path::Path, key: &std::path::Path) -> Self {
        self.settings.tls.identity =
            ClientIdentity { cert_path: Some(certificate.to_owned()), key_path: Some(key.to_owned()) };
        self
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    pub(crate) fn token(&self) -> &Token {
        &self.settings.token
    }

    pub(crate) fn try_connector(&self) -> Result<HttpConnector, InvalidTls> {
        HttpConnector::new(self.settings.clone())
    }

    pub(crate) fn connector(&self) -> HttpConnector {
        self.try_connector().unwrap()
    }

    pub(crate) fn transport(&self) -> Box<dyn Transport> {
        self.connector().transport()
    }
}

pub(crate) fn request(operation: Operation, body: impl Into<Bytes>) -> Request {
    Request::new(operation, LONG).with_body(body.into())
}

/// Creates a poll.
pub(crate) fn poll() -> Request {
    request(Operation::Poll(Arc::new(PollQuery::new(Duration::from_secs(30), &[], &[]))), "")
}

/// Sends a small result.
pub(crate) async fn send(transport: &mut dyn Transport) -> Result<Response, Error> {
    transport.exchange(request(Operation::Result, "{}")).await
}

/// Sends a small result and returns the error.
pub(crate) async fn fail(transport: &mut dyn Transport) -> Error {
    send(transport).await.expect_err("an answer was received")
}
