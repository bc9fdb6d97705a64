//! A panic ends its task, and nothing else.

mod layer;
mod service;

use std::any::Any;

use serde_json::json;

pub use layer::CatchPanicLayer;
pub use service::CatchPanic;

use crate::{Outcome, TaskError};

/// What becomes of a task whose handler panicked: it may pass when tried again.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Outcome {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Outcome::Failed(
        TaskError::transient(format!("the handler panicked: {message}"))
            .with_details(json!({"type": "panic"})),
    )
}
