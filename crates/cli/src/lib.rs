//! The command line of Avtomatika as a library, so that other programs can have it as a command of theirs: a Python package
//! ships it this way. `avtomatika help` lists the commands.
//!
//! The binary is nothing but this:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     avtomatika::main(std::env::args_os(), avtomatika::Restart::binary()).into()
//! }
//! ```
#![deny(missing_docs)]

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

use std::ffi::OsString;

use clap::Parser;

pub use self::supervision::Restart;

/// Runs a command to its end, and returns the exit code of the process: `avtomatika help exit-codes` lists them.
///
/// `args` begins with the name of the program. `restart` says how this very program is started once more: `dev` does that to
/// supervise workers. Call this once, at the start of a process, on its main thread: it listens for signals, prints to
/// standard output and standard error, and may become another program instead of returning.
pub fn main(args: impl IntoIterator<Item = OsString>, restart: Restart) -> u8 {
    supervision::restart_with(restart);
    let exit = match args::Args::try_parse_from(args) {
        Ok(args) => {
            let printer = output::Printer::new(&args.global);
            exit::of(&printer, || commands::run(args, &printer))
        }
        Err(answer) => exit::from_clap(&answer, &output::Printer::plain()),
    };
    exit.into()
}
