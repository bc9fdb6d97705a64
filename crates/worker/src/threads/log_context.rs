//! Log lines of work that runs on another thread.

use tracing::{Span, dispatcher};

/// Wraps work so that its log lines go to the current subscriber and belong to the current span, on whichever thread it
/// runs. A subscriber may be set for some threads only.
pub(crate) fn with_log_context<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (subscriber, span) = (dispatcher::get_default(Clone::clone), Span::current());
    move || dispatcher::with_default(&subscriber, || span.in_scope(work))
}
