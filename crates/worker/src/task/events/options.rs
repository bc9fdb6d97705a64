//! The optional members of an event.

use rxon::WorkerId;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::task::outcome::optional_object;

/// The optional members of an event. By default it has none: the priority is 0, and the worker signs the event.
#[derive(Debug, Clone, Default)]
pub struct EventOptions {
    pub(crate) priority: f64,
    pub(crate) metadata: Option<Box<RawValue>>,
    pub(crate) security: Option<Box<RawValue>>,
    pub(crate) origin_worker_id: Option<WorkerId>,
}

impl EventOptions {
    /// Creates options with no member set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the priority: higher is more urgent. A number that is not finite counts as 0.
    pub fn priority(mut self, priority: f64) -> Self {
        self.priority = if priority.is_finite() { priority } else { 0.0 };
        self
    }

    /// Sets the metadata: any value that serialises to a JSON object. Any other value is left out, with a warning.
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = optional_object("the event's metadata", &metadata);
        self
    }

    /// Sets a security context, a JSON object, which replaces the worker's own signature. Orchestrators refuse an event
    /// whose signature is not valid. Any other value is left out, with a warning.
    pub fn security(mut self, security: impl Serialize) -> Self {
        self.security = optional_object("the event's security context", &security);
        self
    }

    /// Sets the worker in which the event originated, where this worker passes the event of another on.
    pub fn origin_worker_id(mut self, origin: WorkerId) -> Self {
        self.origin_worker_id = Some(origin);
        self
    }
}
