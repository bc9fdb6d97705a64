//! Tests of the messages and the transports through the public interface.

#![expect(clippy::unwrap_used, reason = "a surprise fails a test, in its helpers too")]

mod client;
mod conformance;
mod http;
mod malformed;
mod vectors;
mod wire;
