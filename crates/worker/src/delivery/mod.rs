//! Results on their way: kept until an orchestrator has acknowledged them.
//!
//! [`outbox`] decides, purely: what is sent when, what an answer means, what is given up. [`desk`] takes them
//! in and keeps the books, [`sender`] sends them.
//! [`spool`] keeps them on disk, where that is wanted.
//! [`ignored`] tells the user of those nobody wants, [`recent`] remembers what was sent, for tasks that are delivered twice.

mod desk;
mod ignored;
mod outbox;
mod recent;
mod sender;
mod spool;

pub(crate) use desk::{Delivery, distribute};
pub use ignored::IgnoredResult;
pub(crate) use ignored::OnIgnored;
pub(crate) use outbox::{Entry, Outbox, OutboxSettings};
pub(crate) use spool::Spool;
