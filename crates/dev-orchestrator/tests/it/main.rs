//! The orchestrator over real connections, with handwritten requests.

mod api;
mod auth;
mod browser;
mod bulk;
mod client;
mod doors;
mod events;
mod faults;
mod figures;
mod files;
mod life;
mod listing;
mod logs;
mod openapi;
mod otlp;
mod page;
mod polls;
mod results;
mod retries;
mod s3;
mod shutdown;
mod snippets;
mod stories;
mod strange;
mod websockets;
mod wire;
