//! What most workers use: `use avtomatika_worker::prelude::*;`

pub use crate::{
    Exit, Json, Outcome, Params, RawParams, State, TaskContext, TaskError, TaskOptions, Worker, WorkerConfig,
    blocking,
};
