//! The generations of the protocol, and the capabilities of each.

/// The generation of the protocol that this crate speaks, as sent in the header `X-RXON-Version`.
pub const VERSION: &str = "1.0b17";

/// A generation of the protocol: decides whether fields and requests that only the newer one understands are sent.
///
/// Known from the registration answer, which has a `version` (1.0b17) or not (1.0b2). The capabilities below are those
/// of the two orchestrators, as observed and written down in the protocol's documentation (`one-message-set`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// 1.0b2: the orchestrator `avtomatika` 1.0b12.
    Older,
    /// 1.0b17: the orchestrator `avtomatika` 1.0b30.
    Newer,
}

impl Generation {
    /// Returns whether this is the newer generation, for storing it. The capabilities below decide what is sent.
    pub fn is_newer(self) -> bool {
        self == Self::Newer
    }

    /// Returns whether the orchestrator tells a repeated result from a new one. 1.0b2 does not: there, a repeated result
    /// may complete the next step of its job.
    pub fn recognises_repeats(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator accepts events, over the websocket and by `POST /_worker/events`. 1.0b2 reads
    /// only progress, and only over the websocket.
    pub fn accepts_events(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator checks the signatures of messages (section 5 of 1.0b17). 1.0b2 ignores them.
    pub fn checks_signatures(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator takes `current_tasks` of a heartbeat for job ids when it decides what to cancel.
    /// 1.0b2 only displays them.
    pub fn looks_up_jobs(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator gives a worker also tasks that are queued for another worker, of any type. 1.0b2
    /// gives each task only to the worker that it was dispatched to.
    pub fn steals_tasks(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator reads `skills_hash` and `usage` of a heartbeat, which 1.0b2 does not know.
    pub fn reads_skills_and_usage(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator answers the heartbeat of an unknown worker as if it knew it, so that only a
    /// heartbeat without a body finds out. 1.0b2 answers JSON `null` to both.
    pub fn needs_probes(self) -> bool {
        self.is_newer()
    }
}
