//! Layers of ours around every task, and what layers are made with.
//!
//! | layer | what it does |
//! |---|---|
//! | [`from_fn()`], [`from_fn_with_state`] | makes a layer of an async function |
//! | [`Extension<T>`](crate::Extension) | puts a value in for handlers |
//! | [`HandleErrorLayer`] | makes outcomes of the errors of layers that fail, such as tower's own |
//! | [`TimeoutLayer`] | ends what takes too long with `TIMEOUT_ERROR` |
//! | [`CatchPanicLayer`] | makes an outcome of a panic; around every handler already |
//!
//! They are added with [`WorkerBuilder::layer`](crate::WorkerBuilder::layer): the first is outermost. Any other
//! [tower](https://docs.rs/tower) layer will do whose service takes a [`TaskRequest`](crate::TaskRequest) and always
//! ends in an [`Outcome`](crate::Outcome). A layer is made once for each task's name: what several names are to share
//! is in the layer, not in its service.

pub mod catch_panic;
mod from_fn;
pub mod handle_error;
pub mod timeout;

pub use catch_panic::CatchPanicLayer;
pub use from_fn::{FromFn, FromFnLayer, Middleware, Next, from_fn, from_fn_with_state};
pub use handle_error::HandleErrorLayer;
pub use timeout::TimeoutLayer;
