//! A task as its handler sees it: context, arguments, outcome, layers.

/// Waits for an extractor; if it fails, the surrounding function returns the outcome of its rejection.
macro_rules! value_or_return {
    ($extracted:expr) => {
        match $extracted.await {
            Ok(value) => value,
            Err(rejection) => return rejection.into_outcome(),
        }
    };
}

pub(crate) mod calls;
pub(crate) mod context;
pub(crate) mod events;
pub mod extract;
pub mod handler;
pub mod middleware;
pub(crate) mod outcome;
pub(crate) mod progress;
pub(crate) mod ready_made;
#[cfg(feature = "event-schemas")]
pub(crate) mod schema;
pub(crate) mod trace_parent;
