//! The orchestrator over real connections, with handwritten requests.

mod api;
mod auth;
mod bulk;
mod client;
mod figures;
mod life;
mod listing;
mod polls;
mod results;
mod retries;
mod s3;
mod shutdown;
mod snippets;
mod stories;
mod strange;
mod websockets;
