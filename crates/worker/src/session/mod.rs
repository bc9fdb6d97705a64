//! One orchestrator's conversation.
//!
//! [`driver`] and [`courier`] run on the control path: registration and heartbeats, and progress. [`poller`] runs on
//! the data path: it asks for tasks. What they do when is decided in [`state`], [`polling`] and [`rate`], and what they
//! say in [`registration`] and [`heartbeat`], which do no I/O.

mod courier;
mod driver;
mod heartbeat;
mod peer;
mod poller;
mod polling;
mod rate;
mod registration;
mod state;

pub(crate) use driver::{Driver, Ends};
pub(crate) use peer::Peer;
pub(crate) use poller::Pollers;
pub(crate) use polling::{Polling, PollingSettings};
pub(crate) use rate::RateGate;

use std::sync::Arc;

pub(crate) use self::peer::Asked;
use crate::delivery::Delivery;
use crate::progress::ProgressBoard;

/// One orchestrator, as both paths and the tasks that came from it see it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) peer: Arc<Peer>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) progress: Arc<ProgressBoard>,
}

/// Said once for each kind of request: meeting the limit is normal operation.
pub(crate) fn say_rate_limited(orchestrator: &str, kind: &str) {
    tracing::info!(
        orchestrator,
        "the orchestrator limits the rate of {kind} (429): the worker stays below the limit from now on; raise it \
         there with `RATE_LIMIT_…`, or switch it off with `RATE_LIMITING_ENABLED=false`"
    );
}
