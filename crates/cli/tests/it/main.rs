//! The program as people use it.

mod arguments;
mod config;
mod demo;
mod keep;
mod program;
