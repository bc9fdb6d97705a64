//! A span around what runs a task.

mod layer;
mod parent;
mod service;

pub use layer::TraceLayer;
pub use service::Trace;
