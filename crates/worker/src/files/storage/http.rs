//! The HTTP client of the storage, with TLS and proxies as the configuration has them.

use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use reqwest::{NoProxy, Proxy};
use rxon::transport::http::{InvalidTls, storage_tls};

use crate::config::{Address, WorkerConfig};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A storage that says nothing for so long is given up. A part of 8 MiB has to be through by then, too.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Hands one client to all stores, so that they share connections.
#[derive(Debug, Clone)]
pub(super) struct Client(reqwest::Client);

impl Client {
    /// Reads the system's certificates and those of `TLS_CA_PATH`.
    pub(super) fn new(config: &WorkerConfig) -> Result<Self, InvalidTls> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(storage_tls(config.tls_ca_path.as_deref())?)
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .user_agent(concat!("avtomatika-worker/", env!("CARGO_PKG_VERSION")))
            // The environment was read with the configuration.
            .no_proxy();
        let exempt = config.no_proxy.as_deref().and_then(NoProxy::from_string);
        let address =
            |address: &Option<Address>| address.as_ref().map(|address| with_scheme(address.expose()));
        let proxies =
            [address(&config.http_proxy).map(Proxy::http), address(&config.https_proxy).map(Proxy::https)];
        // What is wrong with an address was told when the configuration was checked.
        for proxy in proxies.into_iter().flatten().flatten() {
            builder = builder.proxy(proxy.no_proxy(exempt.clone()));
        }
        let client = builder.build().expect("a client whose TLS is given has nothing to fail on");
        Ok(Self(client))
    }
}

impl HttpConnector for Client {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// `proxy:3128` means what `http://proxy:3128` does.
fn with_scheme(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}
