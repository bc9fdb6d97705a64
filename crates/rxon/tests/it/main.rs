//! The wire format and the transports, from outside.

mod client;
mod conformance;
mod vectors;
mod wire;
