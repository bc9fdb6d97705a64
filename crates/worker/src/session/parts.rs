//! What a conversation is made of.

use std::sync::Arc;
use std::time::Duration;

use crate::capacity::Offer;
use crate::capacity::changes::Changes;
use crate::execution::running::Running;
use crate::session::Session;
use crate::session::commands::Commands;
use crate::session::ends::Ends;
use crate::session::profile::Profile;

/// The parts of the worker that one conversation uses.
#[derive(Debug, Clone)]
pub(crate) struct ConversationParts {
    pub(crate) session: Arc<Session>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) offer: Arc<Offer>,
    pub(crate) running: Arc<Running>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) ends: Ends,
    pub(crate) settings: ConversationSettings,
}

/// The options of one conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConversationSettings {
    /// The longest delay between two attempts to register.
    pub(crate) max_registration_delay: Duration,
    /// `HEARTBEAT_INTERVAL`.
    pub(crate) heartbeat_interval: Duration,
    /// `WORKER_HEARTBEAT_DEBOUNCE_DELAY`.
    pub(crate) heartbeat_debounce: Duration,
    /// `WORKER_TELEMETRY_DEADBAND`: in points for processors, in percent of the last value for memory.
    pub(crate) telemetry_deadband: f64,
    /// `WORKER_TELEMETRY_FORCE_INTERVAL`.
    pub(crate) telemetry_force_interval: Duration,
}
