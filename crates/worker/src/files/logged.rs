//! Log lines of what is done on another thread.

use tracing::{Span, dispatcher};

/// Work whose log lines go where they would go from here, about the same task, whichever thread does it: a subscriber
/// may be there for some threads only.
pub(super) fn logged<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (log, span) = (dispatcher::get_default(Clone::clone), Span::current());
    move || dispatcher::with_default(&log, || span.in_scope(work))
}
