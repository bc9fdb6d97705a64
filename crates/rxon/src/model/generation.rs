//! The generations of the protocol, and what each of them can do.

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
    /// Returns whether the orchestrator is of the newer generation, for storing it. To decide what to send, use the
    /// capabilities below.
    pub fn is_newer(self) -> bool {
        self == Self::Newer
    }

    /// Returns whether the orchestrator tells a repeated result from a new one.
    ///
    /// 1.0b17 does; in 1.0b2 a repeated result may complete the next step of its job.
    pub fn recognises_repeats(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator accepts events, by `POST /_worker/events` and over the websocket.
    ///
    /// 1.0b17 does; 1.0b2 reads only progress, and only over the websocket.
    pub fn accepts_events(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator checks the signatures of messages.
    ///
    /// 1.0b17 does (its section 5); 1.0b2 ignores them.
    pub fn checks_signatures(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator looks up `current_tasks` of a heartbeat as job ids to decide what to cancel.
    ///
    /// 1.0b17 does; 1.0b2 only displays them.
    pub fn looks_up_jobs(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator reads the fields `skills_hash` and `usage` of a heartbeat.
    ///
    /// 1.0b17 does; 1.0b2 has neither field.
    pub fn reads_skills_and_usage(self) -> bool {
        self.is_newer()
    }

    /// Returns whether the orchestrator answers a heartbeat of a worker that it does not know as if it knew it, so that
    /// only a heartbeat without a body finds out.
    ///
    /// 1.0b17 does; 1.0b2 answers JSON `null` to either.
    pub fn needs_probes(self) -> bool {
        self.is_newer()
    }
}
