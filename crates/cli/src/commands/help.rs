//! `help`: of a command, of the exit codes, and of the JSON of a command.

use anyhow::anyhow;
use clap::CommandFactory;

use crate::args::Args;
use crate::exit::{CODES, Exit, Failure};
use crate::output::Printer;
use crate::schemas;

/// Prints the help on a topic.
pub(crate) fn run(topic: &[String], printer: &Printer) -> Result<Exit, Failure> {
    let words: Vec<&str> = topic.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["exit-codes"] => {
            for (code, meaning) in CODES {
                printer.data(format_args!("{code:>3}  {meaning}"))?;
            }
        }
        ["json", command] => {
            let schema = schemas::of(command).ok_or_else(|| {
                let known: Vec<_> = schemas::names().map(|name| format!("`{name}`")).collect();
                Failure::usage(anyhow!("`{command}` prints no JSON, expected one of {}", known.join(", ")))
            })?;
            printer.data(schema.trim_end())?;
        }
        [] => printer.data(Args::command().render_help().to_string().trim_end())?,
        [name] => {
            // Options of every command are only known to it once the tree is built.
            let mut command = Args::command();
            command.build();
            let found = command.find_subcommand_mut(name).ok_or_else(|| unknown(name))?;
            printer.data(found.render_help().to_string().trim_end())?;
        }
        more => return Err(unknown(&more.join(" "))),
    }
    Ok(Exit::Success)
}

fn unknown(topic: &str) -> Failure {
    Failure::usage(anyhow!(
        "there is no help on `{topic}`, expected a command, `exit-codes` or `json COMMAND`"
    ))
}
