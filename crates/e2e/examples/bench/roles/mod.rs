//! The processes that the benchmark consists of. Each is this program with the name of its role as the first argument.

mod bare;
mod dispatcher;
mod server;
mod worker;

pub(crate) use dispatcher::Dispatcher;
pub(crate) use server::{Generation, Server};

use crate::arguments::Arguments;
use crate::scenarios::files;

/// The token of every worker. As long as a real one: it is looked for in every text that is logged.
pub(crate) const TOKEN: &str = "bench-4f9c2b7e61d84a0f9d35c8e2a7b01f64";

pub(crate) const WORKER_ID: &str = "bench";

/// Plays a role to its end. Returns `None` if there is none of this name.
pub(crate) fn play(role: &str, arguments: &[&str]) -> Option<Result<(), String>> {
    let arguments = Arguments::new(arguments);
    Some(match role {
        "server" => server::run(arguments),
        "bare" => bare::run(arguments, false),
        "fair" => bare::run(arguments, true),
        "dispatcher" => dispatcher::run(arguments),
        "worker" => worker::run(arguments),
        "files-place" => files::place(arguments),
        "files-bare" => files::bare(arguments),
        "files-worker" => files::worker(arguments),
        _ => return None,
    })
}

/// The runtime of every role: with one thread, as `#[tokio::main(flavor = "current_thread")]` makes it.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}
