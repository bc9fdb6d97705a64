//! The worker against a scripted orchestrator: in process, and as the example program.

mod blocked;
mod cancelling;
mod capacity;
mod configuration;
mod faults;
mod goodbye;
mod heartbeats;
mod live;
mod malformed;
mod middleware;
mod outcomes;
mod pollers;
mod polling;
mod program;
mod progress;
mod rates;
mod registration;
mod results;
mod secure;
mod several;
mod shutdown;
mod signatures;
mod slots;
mod support;
mod ui;
mod validation;
