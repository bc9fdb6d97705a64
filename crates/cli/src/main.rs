//! The command line of Avtomatika; `avtomatika help` lists its commands.

mod args;
mod client;
mod commands;
mod exit;
mod json;
mod output;
mod progress;
mod schemas;
mod shell;
mod signals;
mod supervision;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let exit = match args::Args::try_parse() {
        Ok(args) => {
            let printer = output::Printer::new(&args.global);
            exit::of(&printer, || commands::run(args, &printer))
        }
        Err(answer) => exit::from_clap(&answer, &output::Printer::plain()),
    };
    exit.into()
}
