//! Threads, waiting and locking, the same in every part of the worker.

pub(crate) mod blocking;
pub(crate) mod control;
pub(crate) mod hook;
pub(crate) mod memory;
pub(crate) mod probe;

use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::time::Instant;
use tracing::{Span, dispatcher};

/// Waits until a moment, or forever if there is none.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Locks a mutex, even after a panic of its last holder: the value in it is only ever written whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, even after a panic of the last writer, as [`lock`] does.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing, even after a panic of the last writer, as [`lock`] does.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Wraps work so that its log lines go to the current subscriber and belong to the current span, on whichever thread it
/// runs. A subscriber may be set for some threads only.
pub(crate) fn with_log_context<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (subscriber, span) = (dispatcher::get_default(Clone::clone), Span::current());
    move || dispatcher::with_default(&subscriber, || span.in_scope(work))
}
