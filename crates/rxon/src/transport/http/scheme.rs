//! The question whether a server that closes connections without a word expects TLS.
//!
//! Many TLS servers answer a request without TLS with an alert, or with a page. Others, such as Python's, only close the
//! connection, as a server that is starting does. So the first bytes of a TLS handshake are sent to a server that has
//! never answered: its reply tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::address::OrchestratorUrl;
use super::stream::{Line, SPEAKS_TLS};
use super::tls::builder;
use crate::error::{Error, ErrorKind};
use crate::limit::within;

/// The time limit of the question.
const LIMIT: Duration = Duration::from_secs(2);

/// The time for which the reply counts.
const INTERVAL: Duration = Duration::from_secs(30);

/// What is known of a server with an address of `http`.
#[derive(Debug, Default)]
pub(super) struct Scheme {
    /// The server has answered a request: it speaks HTTP without TLS.
    has_answered: AtomicBool,
    /// When the server was asked last, and whether it expects TLS.
    asked: Mutex<Option<(Instant, bool)>>,
}

impl Scheme {
    /// Takes in that the server answered a request.
    pub(super) fn on_answer(&self) {
        // Nearly always it is known, and a store would take the line of memory from other threads.
        if !self.has_answered.load(Ordering::Relaxed) {
            self.has_answered.store(true, Ordering::Relaxed);
        }
    }

    /// Names the cause of a failed exchange, if the server has closed the connection because it expects TLS. To ask it,
    /// `connect` opens another connection to it.
    pub(super) async fn explained(
        &self,
        error: Error,
        url: &OrchestratorUrl,
        connect: impl Future<Output = Option<Line>>,
    ) -> Error {
        let progress = error.progress();
        let may_be = error.kind() == ErrorKind::Closed && !progress.answered && !progress.reused;
        if !may_be || url.is_secure() || self.has_answered.load(Ordering::Relaxed) {
            return error;
        }
        let mut asked = self.asked.lock().await;
        let expects_tls = match *asked {
            Some((at, expects_tls)) if at.elapsed() < INTERVAL => expects_tls,
            _ => {
                let expects_tls = within(LIMIT, expects_tls(url, connect)).await == Ok(Some(true));
                *asked = Some((Instant::now(), expects_tls));
                expects_tls
            }
        };
        if !expects_tls {
            return error;
        }
        Error::new(ErrorKind::Protocol, SPEAKS_TLS).with_source(error).with_progress(progress)
    }
}

/// Begins a handshake of TLS, and returns whether the reply is one of TLS; `None` without a reply.
async fn expects_tls(url: &OrchestratorUrl, connect: impl Future<Output = Option<Line>>) -> Option<bool> {
    let name = ServerName::try_from(url.host().to_owned()).ok()?;
    let config: ClientConfig =
        builder().ok()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut hello).ok()?;
    let mut line = connect.await?;
    line.write_all(&hello).await.ok()?;
    let mut reply = [0; 2];
    line.read_exact(&mut reply).await.ok()?;
    // The kind of a record, an alert or a handshake, and the first byte of its version.
    Some(matches!(reply, [0x15 | 0x16, 0x03]))
}
