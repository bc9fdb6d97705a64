//! The program as people use it.

mod arguments;
mod blueprints;
mod client;
mod config;
mod demo;
mod dev;
mod drill;
mod keep;
mod program;
mod rude;
mod scripted;
mod server;
mod state;
mod workers;
