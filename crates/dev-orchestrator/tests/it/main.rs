//! The orchestrator over real connections, driven by hand.

mod api;
mod auth;
mod client;
mod life;
mod polls;
mod results;
mod s3;
mod shutdown;
mod strange;
