//! A span around what runs a task.

mod layer;
mod service;

pub use layer::TraceLayer;
pub use service::Trace;
