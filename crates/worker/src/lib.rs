#![doc = include_str!("docs/lib.md")]
#![deny(missing_docs)]

mod capacity;
pub mod config;
mod delivery;
mod execution;
pub mod files;
mod health;
#[cfg(feature = "logging")]
pub mod logging;
mod peer;
pub mod prelude;
mod session;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;
mod worker;

#[cfg(feature = "macros")]
#[doc = include_str!("docs/debug_handler.md")]
pub use avtomatika_worker_macros::debug_handler;
pub use config::{ConfigError, WorkerConfig};
pub use delivery::IgnoredResult;
pub use files::TaskFiles;
pub use rxon::descriptors::not_inherited;
pub use rxon::model::{DeviceUsage, ErrorCode, Usage};
pub use rxon::{ErrorChain, JobId, TaskId, TaskName, WorkerId};
pub use session::commands::Command;
pub use task::calls::{SkillCall, SkillCallError};
pub use task::context::TaskContext;
pub use task::events::{EventError, EventOptions};
#[cfg(feature = "garde")]
pub use task::extract::Valid;
pub use task::extract::{Extension, Params, RawParams, Rejection, State, TaskRequest};
pub use task::handler::{Handler, blocking};
pub use task::outcome::{BoxError, IntoOutcome, Json, Outcome, TaskError};
pub use task::{extract, handler, middleware};
pub use worker::Worker;
pub use worker::builder::{NoState, Offers, WorkerBuilder};
pub use worker::error::{BuildError, Error, Exit};
pub use worker::handle::WorkerHandle;
pub use worker::shutdown::{StopCause, Stopped};
pub use worker::task_options::TaskOptions;
