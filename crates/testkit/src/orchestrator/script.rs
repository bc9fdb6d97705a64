//! How the scripted orchestrator is set up before it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// Which orchestrator is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Generation {
    /// Protocol 1.0b2: a heartbeat from a stranger answers `null`.
    Older,
    /// Protocol 1.0b17: the registration answer has a `version`, heartbeats answer `{"status":"ok"}`.
    #[default]
    Newer,
}

/// What the orchestrator is and where it listens. What it answers is said later, while it runs.
#[derive(Debug, Clone)]
pub struct Script {
    /// Which orchestrator is imitated.
    pub generation: Generation,
    /// How long a poll without a task is held before 204.
    pub hold: Duration,
    /// Whether requests are kept; counting goes on without. Benchmarks switch it off.
    pub record: bool,
    /// Speaks TLS with this configuration.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where to listen; port 0 takes any free one.
    pub bind: SocketAddr,
    /// Request bodies longer than this are answered with 413.
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

    /// Counts requests without keeping them.
    pub fn without_recording(self) -> Self {
        Self { record: false, ..self }
    }

    /// Speaks TLS with this configuration.
    pub fn tls(self, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }
}
