//! What most workers use: `use avtomatika_worker::prelude::*;`

#[cfg(feature = "garde")]
pub use crate::Valid;
pub use crate::{
    Exit, Extension, Json, Outcome, Params, RawParams, State, TaskContext, TaskError, TaskOptions,
    TaskRequest, Worker, WorkerConfig, blocking, middleware::Next,
};
