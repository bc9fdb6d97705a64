//! What can be asked for.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Avtomatika, the task orchestrator, on the command line
#[derive(Debug, Parser)]
#[command(name = "avtomatika", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// What is to be done.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Resize three pictures: an orchestrator, a worker and three tasks in one process
    Demo(Demo),
    /// Print the configuration that a worker would have in this environment, without secrets
    Config(Config),
}

/// How the demo is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Where the pictures go [default: a new directory under the system's temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// How wide the pictures become, 1 to 8192 pixels
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub(crate) width: u32,

    /// Stay up afterwards, and say how to submit another task; ends with Ctrl-C or SIGTERM
    #[arg(long)]
    pub(crate) keep: bool,

    /// Show the log of worker and orchestrator, as `LOG_LEVEL` and `LOG_FORMAT` say
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// How the configuration is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// Print JSON: an object with `value` and `source` for each variable
    #[arg(long)]
    pub(crate) json: bool,
}
