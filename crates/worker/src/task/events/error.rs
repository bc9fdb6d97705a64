//! The reasons why events are not sent or cannot be declared.

/// The reason why an event is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The type is empty, too long, or the worker's own.
    #[error(
        "the event type `{0}` is not valid, expected 1 to 128 characters, and not `progress`, which `send_progress` sends"
    )]
    Type(String),
    /// The payload is not JSON.
    #[error("the payload of the event `{event_type}` is not JSON: {source}")]
    NotJson {
        /// The event's type.
        event_type: String,
        /// The problem.
        source: serde_json::Error,
    },
    /// The payload is JSON, but not an object.
    #[error("the payload of the event `{event_type}` is {found}, expected an object")]
    NotAnObject {
        /// The event's type.
        event_type: String,
        /// The kind of JSON value, such as `a number`.
        found: &'static str,
    },
    /// The task declares its events, and this one is not among them.
    #[error(
        "the event `{event_type}` is not declared; the declared events are {declared}; with \
         `STRICT_EVENT_VALIDATION=false` it is sent"
    )]
    Undeclared {
        /// The event's type.
        event_type: String,
        /// The declared types.
        declared: String,
    },
    /// The payload does not fit the event's schema.
    #[error("the payload of the event `{event_type}` does not fit its schema: {problem}")]
    Schema {
        /// The event's type.
        event_type: String,
        /// The first problem, with its path.
        problem: String,
    },
    /// 100 events of the task are waiting already.
    #[error("100 events of this task wait to be sent: the event `{0}` is dropped")]
    TooMany(String),
    /// 100 events that belong to no task are waiting already.
    #[error("100 events wait to be sent: this one is dropped")]
    QueueFull,
    /// No orchestrator that knows events has registered the worker.
    #[error("the worker is not registered with an orchestrator that knows events: the event is dropped")]
    NotRegistered,
}

/// The reason why an event cannot be declared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeclarationError {
    /// The type is not valid.
    #[error(transparent)]
    Type(EventError),
    /// The schema is not valid.
    #[cfg(feature = "event-schemas")]
    #[error("the schema of the event `{event_type}` is not a valid JSON Schema: {problem}")]
    Schema { event_type: String, problem: String },
    /// The feature that checks events by their schemas is off.
    #[cfg(not(feature = "event-schemas"))]
    #[error("the event `{event_type}` cannot be checked: the feature `event-schemas` is off")]
    FeatureOff { event_type: String },
}
