//! Handlers that block their thread.

use std::fmt;

/// A blocking function, made a handler by [`blocking`].
#[derive(Clone, Copy)]
pub struct Blocking<F>(pub(super) F);

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Blocking")
    }
}

/// Makes a handler of a function that blocks: one that computes, or waits without `await`.
///
/// It runs on one of the worker's own threads. As many handlers can block at once as there are slots, and nothing else
/// is held up. A blocking handler cannot be interrupted: one that runs long should check
/// [`TaskContext::is_cancelled`](crate::TaskContext::is_cancelled) regularly.
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
