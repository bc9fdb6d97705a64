//! The program as people use it.

mod arguments;
mod demo;
mod keep;
mod program;
