//! The arguments of the demo.

use std::path::PathBuf;

/// The arguments of the demo.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  avtomatika demo --keep")]
pub(crate) struct Demo {
    /// Directory for the resized pictures [default: a new directory in the system's temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Width of the resized pictures in pixels, 1 to 8192
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = width)]
    pub(crate) width: u32,

    /// Keep running afterwards, and print how to submit another task; Ctrl-C or SIGTERM ends it
    #[arg(long)]
    pub(crate) keep: bool,

    /// Show the log of the worker and the orchestrator, as set by `LOG_LEVEL` and `LOG_FORMAT`
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// The largest width of a picture, in pixels.
const MAX_WIDTH: u32 = 8192;

fn width(text: &str) -> Result<u32, String> {
    let width = text.parse().ok().filter(|width| (1..=MAX_WIDTH).contains(width));
    width.ok_or_else(|| format!("expected a whole number of pixels, 1 to {MAX_WIDTH}"))
}
