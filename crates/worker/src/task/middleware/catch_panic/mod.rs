//! A panic ends its task, and nothing else.

mod layer;
mod service;

pub use layer::CatchPanicLayer;
pub use service::CatchPanic;
