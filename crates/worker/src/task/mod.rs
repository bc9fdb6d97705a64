//! A task as its handler sees it: context, arguments, outcome, layers.

pub(crate) mod context;
pub(crate) mod events;
pub mod extract;
pub mod handler;
pub mod middleware;
pub(crate) mod outcome;
pub(crate) mod progress;
pub(crate) mod trace_parent;
