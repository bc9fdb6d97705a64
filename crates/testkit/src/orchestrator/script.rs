//! The settings of the scripted orchestrator before it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// The generation of the orchestrator to imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Generation {
    /// Protocol 1.0b2: a heartbeat of an unknown worker is answered with `null`.
    Older,
    /// Protocol 1.0b17: the answer to a registration has a `version`, heartbeats are answered with `{"status":"ok"}`.
    #[default]
    Newer,
}

/// The kind of the orchestrator and its address. Its answers are set later, while it runs.
#[derive(Debug, Clone)]
pub struct Script {
    /// The generation of the orchestrator to imitate.
    pub generation: Generation,
    /// The time for which a poll without a task is held before 204.
    pub hold: Duration,
    /// True if requests are kept; they are counted in any case. Benchmarks switch it off.
    pub record: bool,
    /// The TLS configuration; `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// The address to listen on; port 0 takes any free port.
    pub bind: SocketAddr,
    /// The maximum length of a request body; longer ones are answered with 413.
    pub body_limit: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            generation: Generation::default(),
            hold: Duration::from_millis(300),
            record: true,
            tls: None,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            body_limit: 1024 * 1024,
        }
    }
}

impl Script {
    /// An orchestrator of the older generation.
    pub fn older() -> Self {
        Self { generation: Generation::Older, ..Self::default() }
    }

    /// An orchestrator of the newer generation.
    pub fn newer() -> Self {
        Self::default()
    }

    /// Holds polls for this long.
    pub fn hold(self, hold: Duration) -> Self {
        Self { hold, ..self }
    }

    /// Counts requests, but does not keep them.
    pub fn without_recording(self) -> Self {
        Self { record: false, ..self }
    }

    /// Speaks TLS with this configuration.
    pub fn tls(self, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }
}
