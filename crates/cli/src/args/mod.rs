//! The arguments.

mod client;
mod demo;
mod dev;
mod drill;
mod global;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub(crate) use self::client::{Cancel, Logs, Retry, Submit, Task, Tasks, Watch, Workers};
pub(crate) use self::demo::Demo;
pub(crate) use self::dev::Dev;
pub(crate) use self::drill::Drill;
pub(crate) use self::global::{ColorChoice, Global};

/// Avtomatika, the task orchestrator, on the command line
#[derive(Debug, Parser)]
#[command(name = "avtomatika", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "`avtomatika help exit-codes` lists the exit codes.")]
pub(crate) struct Args {
    /// The options of every command.
    #[command(flatten)]
    pub(crate) global: Global,

    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a development orchestrator with a local S3, and a worker if wanted
    Dev(Dev),
    /// Submit a task, and wait for its result if wanted
    Submit(Submit),
    /// List tasks, the newest first
    Tasks(Tasks),
    /// Show one task
    Task(Task),
    /// Print the log of a task
    Logs(Logs),
    /// List the workers
    Workers(Workers),
    /// Show what happens: progress bars of what runs, and a line for each task that ends
    Watch(Watch),
    /// Cancel tasks
    Cancel(Cancel),
    /// Submit ended tasks once more
    Retry(Retry),
    /// Take a worker through disasters, and say which promises it keeps
    Drill(Drill),
    /// Print the configuration that a worker would have in this environment, without secrets
    Config(Config),
    /// Resize three pictures: an orchestrator, a worker and three tasks in one process
    Demo(Demo),
    /// Print the completions for a shell
    Completions(Completions),
    /// Print help: of a command, the exit codes, or the JSON of a command
    Help(Help),
    /// Start a worker, and end everything that descends from it
    #[command(hide = true)]
    Supervise(Program),
    /// Become a program that ends with its parent
    #[command(hide = true)]
    Become(Program),
}

/// The arguments of the configuration's output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  WORKER_TOKEN=secret avtomatika config --json")]
pub(crate) struct Config {}

/// The arguments of the completions.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  avtomatika completions bash > ~/.local/share/bash-completion/completions/avtomatika"
)]
pub(crate) struct Completions {
    /// The shell: bash, zsh, fish or powershell
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    pub(crate) shell: Shell,
}

/// The shells that have completions.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
    /// `PowerShell`.
    Powershell,
}

/// The arguments of the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  avtomatika help exit-codes\n  avtomatika help json tasks")]
pub(crate) struct Help {
    /// A command, `exit-codes`, or `json COMMAND`
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
}

/// A program with its arguments, for the parts of this program that start others.
#[derive(Debug, clap::Args)]
pub(crate) struct Program {
    /// Seconds between SIGTERM and SIGKILL, if the process that started this one is gone.
    #[arg(long, value_name = "SECONDS", default_value_t = 26.0)]
    pub(crate) grace: f64,

    /// Process id of the parent to end with.
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<i32>,

    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
