//! What most workers use: `use avtomatika_worker::prelude::*;`

#[cfg(feature = "garde")]
pub use crate::task::extract::Valid;
pub use crate::{
    BuildError, Exit, Extension, Json, Outcome, Params, RawParams, State, TaskContext, TaskError, TaskFiles,
    TaskOptions, TaskRequest, Worker, WorkerConfig, blocking, middleware::Next,
};
