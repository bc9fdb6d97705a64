//! The arguments of the drill.

use std::ffi::OsString;

/// The arguments of the drill.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Two copies of the worker run at the same time, each with a development server of its own. The drill runs \
                  hundreds of small tasks: name one that may be run that often with `--task` and `--params`.\n\n\
                  Examples:\n  avtomatika drill -- python worker.py\n  \
                  avtomatika drill --task resize --params '{\"width\": 64}' --only deploy --only cancel -- ./worker"
)]
pub(crate) struct Drill {
    /// Disaster to go through; can be repeated [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// Type of the tasks [default: one that can be called with what its schema says]
    #[arg(long, value_name = "TYPE")]
    pub(crate) task: Option<String>,

    /// Parameters of the tasks, a JSON object [default: the smallest that the schema allows]
    #[arg(long, value_name = "JSON", requires = "task")]
    pub(crate) params: Option<String>,

    /// Show what the worker writes
    #[arg(long)]
    pub(crate) verbose: bool,

    /// Seconds that the worker has to register.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, hide = true)]
    pub(crate) register_within: f64,

    /// Seconds after which nothing is begun or waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 170.0, hide = true)]
    pub(crate) within: f64,

    /// Worker to start, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
