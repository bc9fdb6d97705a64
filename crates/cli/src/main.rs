//! The command line of Avtomatika: `avtomatika demo`, `avtomatika config`.

mod args;
mod commands;
mod exit;
mod output;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let printer = output::Printer::new();
    let exit = match args::Args::try_parse() {
        Ok(args) => exit::from_result(commands::run(args, &printer), &printer),
        Err(answer) => exit::from_clap(&answer, &printer),
    };
    exit.into()
}
