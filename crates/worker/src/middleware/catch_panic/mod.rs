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
    let message = panic_message(payload);
    Outcome::Failed(
        TaskError::transient(format!("the handler panicked: {message}"))
            .with_details(json!({"type": "panic"})),
    )
}

/// What was said with a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
