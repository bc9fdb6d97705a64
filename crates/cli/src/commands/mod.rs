//! The commands, one module for each.

mod config;
mod demo;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// Runs the command in the arguments.
pub(crate) fn run(args: Args, printer: &Printer) -> Result<Exit, Failure> {
    match args.command {
        Command::Config(config) => config::run(&config, printer),
        Command::Demo(demo) => demo::run(&demo, printer),
    }
}
