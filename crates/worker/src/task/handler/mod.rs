//! Handlers: functions that run tasks.

mod blocking;
mod function;
mod service;

pub use blocking::{Blocking, blocking};
pub use function::{Blocks, Handler};
pub use service::{HandlerService, TaskService};

pub use crate::task::outcome::{IntoOutcome, Json, Outcome, TaskError};
