//! The orchestrator that a task came from.

use std::sync::Arc;

use rxon::secrets::Secrets;

use crate::delivery::Delivery;
use crate::peer::Peer;
use crate::task::progress::ProgressBoard;

/// The orchestrator that a task came from, and the way back to it: progress and results go where the task came from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Its place among the orchestrators.
    pub(crate) orchestrator: usize,
    pub(crate) peer: Arc<Peer>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) progress: Arc<ProgressBoard>,
    /// Keeps the secrets of the configuration masked in logs for as long as anything can log text from a server.
    pub(crate) _secrets: Arc<Secrets>,
}
