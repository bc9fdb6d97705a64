//! The orchestrator over real connections, with handwritten requests.

mod api;
mod auth;
mod browser;
mod client;
mod doors;
mod events;
mod files;
mod life;
mod logs;
mod openapi;
mod otlp;
mod page;
mod polls;
mod results;
mod s3;
mod shutdown;
mod strange;
mod websockets;
