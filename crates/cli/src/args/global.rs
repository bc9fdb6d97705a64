//! The options that every command accepts, before or after its name.

use clap::ValueEnum;

/// The options of every command.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print JSON: one object, or a line for each thing that happens
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colours: `always`, `never`, or `auto`, which is in a terminal and without `NO_COLOR`
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) color: ColorChoice,

    /// Address of the server [default: `AVTOMATIKA_URL`, else `ORCHESTRATOR_URL`, else `http://127.0.0.1:8080`]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// If the stream is a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Everywhere but in JSON.
    Always,
    /// Nowhere.
    Never,
}
