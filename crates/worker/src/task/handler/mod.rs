//! Handlers: functions that run tasks.

#[doc(hidden)]
pub mod debug;
mod function;
mod service;

pub use function::{Blocking, Blocks, Handler, blocking};
pub use service::{HandlerFuture, HandlerService, TaskService};

pub use crate::task::outcome::{IntoOutcome, Json, Outcome, TaskError};
