//! What takes too long is given up.

mod layer;
mod service;

pub use layer::TimeoutLayer;
pub use service::Timeout;
