//! The worker against a scripted orchestrator: in process, and as the example program.

mod cancelling;
mod capacity;
mod goodbye;
mod heartbeats;
mod malformed;
mod outcomes;
mod pollers;
mod polling;
mod program;
mod progress;
mod rates;
mod registration;
mod results;
mod shutdown;
mod slots;
mod support;
mod ui;
