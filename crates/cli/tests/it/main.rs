//! The program as people use it.

mod arguments;
mod client;
mod config;
mod demo;
mod dev;
mod drill;
mod keep;
mod program;
mod scripted;
mod server;
mod workers;
