//! The worker against a scripted orchestrator: in process, and as the example program.

mod heartbeats;
mod polling;
mod rates;
mod registration;
mod support;
mod ui;
