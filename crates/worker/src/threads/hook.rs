//! The user's functions, called so that a panic harms nothing but the call.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::threads::panic_message;

/// Calls a function.
///
/// # Errors
/// The message of its panic.
pub(crate) fn caught<R>(function: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(function)).map_err(into_message)
}

/// Calls an async function. A panic while its future is made counts as one of the future.
///
/// # Errors
/// The message of its panic.
///
/// # Cancel safety
/// The same as that of the function.
pub(crate) async fn caught_async<F: Future>(function: impl FnOnce() -> F) -> Result<F::Output, String> {
    AssertUnwindSafe(async { function().await }).catch_unwind().await.map_err(into_message)
}

/// Returns the message of a panic and drops the rest of it, which may panic again.
fn into_message(payload: Box<dyn Any + Send>) -> String {
    let message = panic_message(&*payload).to_owned();
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    message
}

/// A function of the user that the worker calls repeatedly.
#[derive(Clone)]
pub(crate) struct Hook<A, R = ()> {
    /// The name of the builder's method that takes the function.
    name: &'static str,
    function: Arc<dyn Fn(&A) -> R + Send + Sync>,
}

impl<A, R> Hook<A, R> {
    pub(crate) fn new(name: &'static str, function: impl Fn(&A) -> R + Send + Sync + 'static) -> Self {
        Self { name, function: Arc::new(function) }
    }

    /// Calls the function.
    ///
    /// # Errors
    /// The name of the hook and the message of its panic.
    pub(crate) fn call(&self, argument: &A) -> Result<R, String> {
        caught(|| (self.function)(argument)).map_err(|message| self.panicked(&message))
    }

    fn panicked(&self, message: &str) -> String {
        format!("`{}` panicked: {message}", self.name)
    }
}

impl<A, R> Hook<A, BoxFuture<'static, R>> {
    /// Calls the async function.
    ///
    /// # Errors
    /// The name of the hook and the message of its panic, or of that of its future.
    pub(crate) async fn call_async(&self, argument: &A) -> Result<R, String> {
        caught_async(|| (self.function)(argument)).await.map_err(|message| self.panicked(&message))
    }
}

impl<A, R> fmt::Debug for Hook<A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Hook").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics when it is dropped.
    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_is_an_error_with_the_name_of_the_hook() {
        let hook = Hook::new("on_test", |number: &u8| {
            assert!(*number != 0, "none");
            *number + 1
        });
        assert_eq!(hook.call(&1).expect("it returns"), 2);
        assert_eq!(hook.call(&0).expect_err("it panics"), "`on_test` panicked: none");
    }

    #[tokio::test]
    async fn an_async_hook_may_panic_before_its_future_and_in_it() {
        let hook = Hook::new("on_test", |number: &u8| {
            assert!(*number != 0, "before");
            async { panic!("in it") }.boxed()
        });
        for (number, message) in [(0, "before"), (1, "in it")] {
            let panicked = hook.call_async(&number).await.expect_err("it panics");
            assert_eq!(panicked, format!("`on_test` panicked: {message}"));
        }
    }

    #[tokio::test]
    async fn a_panic_that_panics_again_when_it_is_dropped_is_harmless() {
        let panics = || std::panic::panic_any(PanicsOnDrop);
        assert_eq!(caught::<()>(panics), Err("no message".to_owned()));
        assert_eq!(caught_async(|| async { panics() }).await, Err::<(), _>("no message".to_owned()));
    }
}
