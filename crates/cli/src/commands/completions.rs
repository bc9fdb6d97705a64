//! `completions`: scripts that complete commands and options in a shell.

use clap::CommandFactory;
use clap_complete::shells::{Bash, Fish, PowerShell, Zsh};

use crate::args::{Args, Shell};
use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// Prints the script for a shell.
pub(crate) fn run(shell: Shell, printer: &Printer) -> Result<Exit, Failure> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => clap_complete::generate(Bash, &mut command, name, &mut script),
        Shell::Zsh => clap_complete::generate(Zsh, &mut command, name, &mut script),
        Shell::Fish => clap_complete::generate(Fish, &mut command, name, &mut script),
        Shell::Powershell => clap_complete::generate(PowerShell, &mut command, name, &mut script),
    }
    printer.data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}
