//! The orchestrator over real connections, with handwritten requests.

mod api;
mod auth;
mod client;
mod faults;
mod life;
mod polls;
mod results;
mod s3;
mod shutdown;
mod strange;
mod websockets;
mod wire;
