//! The messages, one noun per file. No I/O.
//!
//! The message set is that of 1.0b17 with the fields of 1.0b2 beside it: each generation ignores what it does not
//! know, so nothing is negotiated (`one-message-set` in the protocol's documentation). What is sent leaves absent
//! fields out; what is received may leave them out, say `null`, or carry fields we do not know.
//!
//! `timestamp`, `nonce` and `security` are not fields of these types: they are new for every attempt, and put on by
//! [`Seal`](crate::signing::Seal).

mod command;
mod event;
mod file;
mod heartbeat;
mod outcome;
mod reading;
mod registration;
mod task;
mod token;

pub use command::Command;
pub use event::{Event, EventAnswer, Progress, ProgressUpdate};
pub use file::FileMetadata;
pub use heartbeat::{DeviceUsage, Heartbeat, HeartbeatAnswer, Liveness, Usage, WorkerStatus};
pub use outcome::{Costs, ErrorCode, Failure, ResultAnswer, TaskResult};
pub use registration::{
    Artifact, Capabilities, Device, GpuInfo, InstalledModel, Registration, RegistrationAnswer, Resources,
    SkillInfo,
};
pub use task::{MalformedTask, Task};
pub use token::TokenAnswer;

/// Whether a generation of the protocol sends what only the newer one understands.
///
/// Known from the registration answer: it has `version` (1.0b17) or not (1.0b2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// 1.0b2: the orchestrator `avtomatika` 1.0b12.
    Older,
    /// 1.0b17: the orchestrator `avtomatika` 1.0b30.
    Newer,
}
