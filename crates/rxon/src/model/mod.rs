//! The messages of the protocol. No I/O.
//!
//! The messages are those of 1.0b17 together with the fields of 1.0b2: each generation ignores unknown fields, so
//! nothing is negotiated (`one-message-set` in the protocol's documentation). Absent fields are not sent; received
//! messages may lack them, have `null` in their place, or carry fields unknown to this crate.
//!
//! `timestamp`, `nonce` and `security` are not fields of these types: `signing::Seal` adds new ones at every attempt.

mod command;
mod event;
mod filled;
mod generation;
mod heartbeat;
mod outcome;
mod reading;
mod registration;
mod task;
mod token;

pub use command::Command;
pub use event::{Event, EventAnswer, Progress, ProgressUpdate};
pub use generation::{Generation, VERSION};
pub use heartbeat::{DeviceUsage, Heartbeat, HeartbeatAnswer, Liveness, Usage, WorkerStatus};
pub use outcome::{Costs, ErrorCode, Failure, ResultAnswer, TaskResult};
pub use registration::{
    Artifact, Capabilities, Device, GpuInfo, InstalledModel, Registration, RegistrationAnswer,
    RegistrationMetadata, Resources, SkillInfo,
};
pub use task::{FileMetadata, MalformedTask, Task};
pub use token::TokenAnswer;
