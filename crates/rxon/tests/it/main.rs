//! The wire format and the transports, from outside.

#![expect(clippy::unwrap_used, reason = "what surprises a test fails it, in its helpers too")]

mod client;
mod conformance;
mod http;
mod malformed;
mod vectors;
mod wire;
