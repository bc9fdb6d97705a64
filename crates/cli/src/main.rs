//! The command line of Avtomatika; `avtomatika help` lists its commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    avtomatika::main(std::env::args_os(), avtomatika::Restart::binary()).into()
}
