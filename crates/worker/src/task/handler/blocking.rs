//! Handlers that block their thread.

use std::fmt;

/// A function that blocks, made a handler by [`blocking`].
#[derive(Clone, Copy)]
pub struct Blocking<F>(pub(super) F);

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Blocking")
    }
}

/// Makes a handler of a function that blocks: computing, or waiting without `await`.
///
/// It runs on a thread of the worker's own. As many may block at once as there are slots, and nothing else notices.
/// It cannot be interrupted: a long one asks [`TaskContext::is_cancelled`](crate::TaskContext::is_cancelled) now
/// and then.
///
/// ```
/// use avtomatika_worker::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Sum {
///     left: u64,
///     right: u64,
/// }
///
/// fn add(Params(sum): Params<Sum>) -> Json<serde_json::Value> {
///     Json(serde_json::json!({"sum": sum.left + sum.right}))
/// }
///
/// let builder = Worker::builder().task("add", blocking(add));
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
pub fn blocking<F>(function: F) -> Blocking<F> {
    Blocking(function)
}
