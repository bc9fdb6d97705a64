//! Errors of layers become outcomes.

mod layer;
mod service;

pub use layer::HandleErrorLayer;
pub use service::HandleError;
