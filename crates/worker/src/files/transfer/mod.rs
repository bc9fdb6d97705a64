//! The limits on transfers, and what they need: turns, memory, cache, counters.

pub(super) mod buffers;
pub(super) mod cache;
pub(super) mod resources;
pub(super) mod shares;
pub(super) mod traffic;
pub(super) mod turns;
