//! The test kit, tested with a client as plain as possible.

#![expect(clippy::unwrap_used, reason = "what surprises a test fails it, in its helpers too")]

mod answers;
mod client;
mod connections;
mod faults;
mod logs;
mod process;
mod protocol;
mod proxy;
mod relay;
mod stopwatch;
mod tasks;
mod tls;
