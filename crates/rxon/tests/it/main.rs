//! The wire format and the transports, from outside.

mod vectors;
mod wire;
