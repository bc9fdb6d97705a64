//! The orchestrator over real connections, driven by hand.

mod api;
mod auth;
mod client;
mod life;
mod polls;
mod results;
mod shutdown;
mod strange;
