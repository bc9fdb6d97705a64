//! Results on their way: kept until an orchestrator has acknowledged them.
//!
//! [`outbox`] decides, purely: what is sent when, what an answer means, what is given up. [`sender`] carries it out.
//! [`recent`] remembers what was sent, for tasks that are delivered twice.

mod outbox;
mod recent;
mod sender;

pub(crate) use outbox::{Entry, Outbox, OutboxSettings};

pub(crate) use sender::Delivery;
