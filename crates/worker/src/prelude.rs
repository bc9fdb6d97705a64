//! The items that most workers use: `use avtomatika_worker::prelude::*;`

#[cfg(feature = "macros")]
pub use avtomatika_worker_macros::debug_handler;

pub use crate::config::WorkerConfig;
pub use crate::files::{BlockingTaskFiles, TaskFiles};
pub use crate::task::context::TaskContext;
#[cfg(feature = "garde")]
pub use crate::task::extract::Valid;
pub use crate::task::extract::{Extension, Params, RawParams, State, TaskRequest};
pub use crate::task::handler::blocking;
pub use crate::task::middleware::Next;
pub use crate::task::outcome::{Json, Outcome, TaskError};
pub use crate::worker::Worker;
pub use crate::worker::builder::WorkerBuilder;
pub use crate::worker::error::{BuildError, Exit};
pub use crate::worker::task_options::TaskOptions;
