#![doc = include_str!("docs/lib.md")]
#![deny(missing_docs)]

mod assembly;
mod builder;
mod capacity;
mod changes;
mod commands;
pub mod config;
mod control;
mod core;
mod delivery;
mod disk;
mod ending;
mod error;
mod events;
mod execution;
mod exit;
pub mod extract;
pub mod files;
mod graphics;
pub mod handler;
mod health;
mod hooks;
mod hot_cache;
#[cfg(feature = "logging")]
pub mod logging;
mod metrics;
pub mod middleware;
mod orchestrators;
mod pace;
pub mod prelude;
mod progress;
mod pulse;
mod repeated;
mod router;
mod run;
mod running;
mod session;
mod shutdown;
mod signals;
mod slots;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod worker;

pub use builder::{NoState, Offers, TaskOptions, WorkerBuilder};
pub use commands::Command;
pub use config::{ConfigError, WorkerConfig};
pub use delivery::IgnoredResult;
pub use error::{BuildError, Error};
pub use events::EventError;
pub use exit::Exit;
#[cfg(feature = "garde")]
pub use extract::Valid;
pub use extract::{Extension, Params, RawParams, Rejection, State, TaskContext, TaskRequest};
pub use files::TaskFiles;
pub use handler::{Handler, IntoOutcome, Json, Outcome, TaskError, blocking};
pub use hooks::BoxError;
pub use rxon::model::ErrorCode;
pub use rxon::{ErrorChain, JobId, TaskId, TaskName, WorkerId};
pub use shutdown::{StopCause, Stopped};
pub use worker::{Worker, WorkerHandle};
