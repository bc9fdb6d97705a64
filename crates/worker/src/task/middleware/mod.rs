//! Layers around the handlers of tasks: those of this crate, and functions that make them.
//!
//! | layer | effect |
//! |---|---|
//! | [`from_fn()`], [`from_fn_with_state`] | makes a layer from an async function |
//! | [`Extension<T>`](crate::Extension) | inserts a value for handlers |
//! | [`HandleErrorLayer`] | makes outcomes of the errors of inner layers, such as tower's own |
//! | [`TimeoutLayer`] | ends a task that takes too long with `TIMEOUT_ERROR` |
//! | [`CatchPanicLayer`] | makes an outcome of a panic; it is around every handler already |
//! | [`EnforceSchemasLayer`](enforce_schemas::EnforceSchemasLayer) | enforces JSON Schemas; it is around tasks with [`TaskOptions::enforce_schemas`](crate::TaskOptions::enforce_schemas) already |
//!
//! Add layers with [`WorkerBuilder::layer`](crate::WorkerBuilder::layer): the first is the outermost. Any
//! [tower](https://docs.rs/tower) layer works whose service takes a [`TaskRequest`](crate::TaskRequest) and always ends
//! in an [`Outcome`](crate::Outcome). A layer makes one service for each task name: state that several names share belongs
//! in the layer, not in its service.

pub mod catch_panic;
#[cfg(feature = "event-schemas")]
pub mod enforce_schemas;
mod from_fn;
pub mod handle_error;
pub mod timeout;

pub use catch_panic::CatchPanicLayer;
pub use from_fn::{FromFn, FromFnLayer, Middleware, Next, from_fn, from_fn_with_state};
pub use handle_error::HandleErrorLayer;
pub use timeout::TimeoutLayer;
