//! The arguments of the development server.

use std::ffi::OsString;
use std::path::PathBuf;

/// The most workers that one server starts.
const MAX_WORKERS: u64 = 1000;

/// The arguments of the development server.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  avtomatika dev\n  avtomatika dev --open --watch src -- python worker.py"
)]
pub(crate) struct Dev {
    /// Address to listen on; only programs on this machine reach a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: String,

    /// Port of the server; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,

    /// Port of the local S3; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    pub(crate) s3_port: u16,

    /// Start no local S3
    #[arg(long)]
    pub(crate) no_storage: bool,

    /// Keep tasks, logs, files and faults in this directory, and go on with what is in it
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Token that workers have to send [default: `WORKER_TOKEN`, else a random one, kept with `--state`]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// Answer requests for this host name, too; can be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// Imitate what a real orchestrator of this version does to workers
    #[arg(long = "as", value_name = "VERSION", value_parser = clap::builder::PossibleValuesParser::new(["1.0b12", "1.0b30"]))]
    pub(crate) imitated: Option<String>,

    /// Blueprint, in TOML or JSON, of which jobs can be submitted; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) blueprint: Vec<PathBuf>,

    /// Open the page in a browser
    #[arg(long)]
    pub(crate) open: bool,

    /// Number of workers to start
    #[arg(long, value_name = "N", requires = "command", value_parser = clap::value_parser!(u64).range(1..=MAX_WORKERS))]
    pub(crate) workers: Option<u64>,

    /// Restart the workers when a file below PATH changes [default PATH: the current directory]
    #[arg(long, value_name = "PATH", num_args = 0.., default_missing_value = ".", requires = "command")]
    pub(crate) watch: Vec<PathBuf>,

    /// Show the log of the server, as set by `LOG_LEVEL` and `LOG_FORMAT`
    #[arg(long)]
    pub(crate) verbose: bool,

    /// Worker to start, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
